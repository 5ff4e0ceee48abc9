// Outside oracles for written meshes: node mesh_oracles.mjs object.glb object.stl
// npm install gltf-validator manifold-3d in a folder, and NODE_PATH=folder/node_modules. Exit code 1 when the GLB has errors, warnings or
// infos, or the STL is no manifold; 77 when a module is not installed.
import fs from 'fs';
import path from 'path';
import { pathToFileURL } from 'url';

const folders = [path.resolve('node_modules'), '/usr/local/lib/node_modules', '/usr/lib/node_modules', ...(process.env.NODE_PATH || '').split(path.delimiter)];
async function load(name) {
  const folder = folders.map((f) => path.join(f, name)).find((f) => fs.existsSync(path.join(f, 'package.json')));
  if (!folder) {
    console.log(`${name} is not installed`);
    process.exit(77);
  }
  const { main } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json')));
  return (await import(pathToFileURL(path.join(folder, main)))).default;
}
const validator = await load('gltf-validator'), Module = await load('manifold-3d');

const [glb, stl] = process.argv.slice(2);
const { issues } = await validator.validateBytes(new Uint8Array(fs.readFileSync(glb)));
console.log(`${glb}: ${issues.numErrors} errors, ${issues.numWarnings} warnings, ${issues.numInfos} infos`);

const data = fs.readFileSync(stl), index = new Map(), positions = [], triangles = [];
for (let i = 0; i < data.readUInt32LE(80); i++)
  for (let k = 0; k < 3; k++) {
    const at = 84 + 50 * i + 12 + 12 * k, key = data.toString('hex', at, at + 12);
    if (!index.has(key)) {
      index.set(key, positions.length / 3);
      for (let c = 0; c < 3; c++) positions.push(data.readFloatLE(at + 4 * c));
    }
    triangles.push(index.get(key));
  }
const wasm = await Module();
wasm.setup();
let status = 'NoError';
try {
  status = new wasm.Manifold(new wasm.Mesh({ numProp: 3, vertProperties: new Float32Array(positions), triVerts: new Uint32Array(triangles) })).status();
} catch (error) {
  status = error.message;
}
console.log(`${stl}: ${status}`);
process.exit(issues.numErrors || issues.numWarnings || issues.numInfos || status !== 'NoError' ? 1 : 0);

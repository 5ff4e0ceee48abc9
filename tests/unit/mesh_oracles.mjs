// Outside oracles for written meshes: npm install gltf-validator manifold-3d, then node mesh_oracles.mjs object.glb object.stl
// Exit code 1 when the GLB has errors or warnings, or the STL is no manifold.
import fs from 'fs';
import validator from 'gltf-validator';
import Module from 'manifold-3d';

const [glb, stl] = process.argv.slice(2);
const { issues } = await validator.validateBytes(new Uint8Array(fs.readFileSync(glb)));
console.log(`${glb}: ${issues.numErrors} errors, ${issues.numWarnings} warnings`);

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
process.exit(issues.numErrors || issues.numWarnings || status !== 'NoError' ? 1 : 0);

"""Drawings of shapes, and what kinora-shape is shown of them.

The condition builder (camera_of, condition_of) is the reference for Kinora's C code.
"""
import math

import numpy as np
from numba import njit
from scipy import ndimage

import shapes

SIZE, FILL, FIELD_OF_VIEW = 160, 144, 30.0


class Camera:
    """Looks at `target` from a direction in degrees; pixels of a SIZE x SIZE picture, shifted by (cx, cy)."""

    def __init__(self, azimuth, elevation, distance, target, fov=FIELD_OF_VIEW, cx=SIZE / 2, cy=SIZE / 2, scale=1.0):
        a, e = math.radians(azimuth), math.radians(elevation)
        self.back = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
        self.right = np.array([-math.sin(a), math.cos(a), 0.0])
        self.down = np.array([math.sin(e) * math.cos(a), math.sin(e) * math.sin(a), -math.cos(e)])
        self.focal = scale * SIZE / 2 / math.tan(math.radians(fov) / 2)
        self.distance, self.target, self.cx, self.cy = distance, np.asarray(target, float), cx, cy

    def project(self, points):
        """[n][3] -> [n][2] pixels"""
        p = np.asarray(points, float) - self.target
        z = np.maximum(self.distance - p @ self.back, 1e-3)
        return np.stack([self.cx + self.focal * (p @ self.right) / z, self.cy + self.focal * (p @ self.down) / z], 1)


def corners(box):
    l, w, h = box
    return np.array([[x, y, z] for x in (-l / 2, l / 2) for y in (-w / 2, w / 2) for z in (0, h)])


def camera_of(box, azimuth, elevation, bounds, fov=FIELD_OF_VIEW):
    """The camera from this direction in which the box covers `bounds` (x0, y0, x1, y1 pixels): equal geometric mean of width and height,
    equal middle."""
    camera = Camera(azimuth, elevation, 3.0 * max(box), (0, 0, box[2] / 2), fov)
    wanted = math.sqrt(max((bounds[2] - bounds[0]) * (bounds[3] - bounds[1]), 1))
    for _ in range(12):
        p = camera.project(corners(box))
        extent = p.max(0) - p.min(0)
        camera.distance = max(camera.distance * math.sqrt(extent[0] * extent[1]) / wanted, 1.05 * np.linalg.norm(box) / 2)
    p = camera.project(corners(box))
    camera.cx += (bounds[0] + bounds[2]) / 2 - (p[:, 0].min() + p[:, 0].max()) / 2
    camera.cy += (bounds[1] + bounds[3]) / 2 - (p[:, 1].min() + p[:, 1].max()) / 2
    return camera


@njit(cache=True, fastmath=True)
def _gather(distance, lines, columns, nx, ny, nz, fx, fy, fz, back, right, down, target, away, focal, cx, cy, mirror, outline, drawn):
    size = distance.shape[0]
    for k in range(nz):
        z = ((nz - 1 - k + .5) / nz - .02) * fz - target[2]
        for j in range(ny):
            y = ((j + .5) / ny - .5) * fy * mirror - target[1]
            for i in range(nx):
                x = ((i + .5) / nx - .5) * fx - target[0]
                depth = max(away - (x * back[0] + y * back[1] + z * back[2]), 1e-3)
                u = cx + focal * (x * right[0] + y * right[1] + z * right[2]) / depth - .5
                v = cy + focal * (x * down[0] + y * down[1] + z * down[2]) / depth - .5
                u, v = min(max(u, 0.0), size - 1.001), min(max(v, 0.0), size - 1.001)
                a, b = int(u), int(v)
                s, t = u - a, v - b
                d = (1 - t) * ((1 - s) * distance[b, a] + s * distance[b, a + 1]) + t * ((1 - s) * distance[b + 1, a] + s * distance[b + 1, a + 1])
                m = (1 - t) * ((1 - s) * lines[b, a] + s * lines[b, a + 1]) + t * ((1 - s) * lines[b + 1, a] + s * lines[b + 1, a + 1])
                outline[j, k, i] = max(outline[j, k, i], d)
                drawn[j, k, i] = max(drawn[j, k, i], m)


def maps_of(mask, lines):
    """Silhouette and lines as signed distance / 16 px, clipped to +-1, negative inside; and exp(-distance to a line / 3 px). Distances are
    between pixel centres; the signed one is .5 at the border pixels of either side."""
    outside, inside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    signed = np.where(mask, -(inside - .5), outside - .5) / 16
    near = np.exp(-ndimage.distance_transform_edt(~lines) / 3) if lines.any() else np.zeros(mask.shape)
    return signed.clip(-1, 1).astype(np.float32), near.astype(np.float32)


def bounds_of(mask):
    ys, xs = np.nonzero(mask)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def condition_of(name, views, box=None, mirror=False):
    """views: (mask, lines, azimuth, elevation) of SIZE x SIZE booleans -> [2 * NY][NZ][NX]: outline, then lines; row 0 is the top."""
    frame = shapes.CLASSES[name][0]
    outline = np.full((shapes.NY, shapes.NZ, shapes.NX), -1.0, np.float32)
    drawn = np.zeros_like(outline)
    for mask, lines, azimuth, elevation in views:
        camera = camera_of(box, azimuth, elevation, bounds_of(mask))
        signed, near = maps_of(mask, lines)
        for side in (1.0, -1.0) if mirror else (1.0,):
            _gather(signed, near, 0, shapes.NX, shapes.NY, shapes.NZ, *frame, camera.back, camera.right, camera.down, camera.target, camera.distance,
                    camera.focal, camera.cx, camera.cy, side, outline, drawn)
    if not views:
        outline[:] = 1
    return np.concatenate([outline, drawn])


# --- drawing -----------------------------------------------------------------------------------------------------------


@njit(cache=True, fastmath=True)
def _at(grid, x, y, z):
    nz, ny, nx = grid.shape
    x, y, z = min(max(x, 0.0), nx - 1.001), min(max(y, 0.0), ny - 1.001), min(max(z, 0.0), nz - 1.001)
    i, j, k = int(x), int(y), int(z)
    a, b, c = x - i, y - j, z - k
    low = (1 - b) * ((1 - a) * grid[k, j, i] + a * grid[k, j, i + 1]) + b * ((1 - a) * grid[k, j + 1, i] + a * grid[k, j + 1, i + 1])
    high = (1 - b) * ((1 - a) * grid[k + 1, j, i] + a * grid[k + 1, j, i + 1]) + b * ((1 - a) * grid[k + 1, j + 1, i] + a * grid[k + 1, j + 1, i + 1])
    return (1 - c) * low + c * high


@njit(cache=True, fastmath=True)
def _trace(grid, material, fx, fy, fz, step_scale, back, right, down, target, away, focal, cx, cy, size, depth, normal, kind):
    """grid: distances in object units, [nz][ny][nx] with row 0 at the bottom."""
    nz, ny, nx = grid.shape
    for v in range(size):
        for u in range(size):
            a, b = (u + .5 - cx) / focal, (v + .5 - cy) / focal
            dx, dy, dz = a * right[0] + b * down[0] - back[0], a * right[1] + b * down[1] - back[1], a * right[2] + b * down[2] - back[2]
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            ox, oy, oz = target[0] + away * back[0], target[1] + away * back[1], target[2] + away * back[2]
            t0, t1 = 0.0, 1e9
            for axis in range(3):
                o, d = (ox, oy, oz)[axis], (dx, dy, dz)[axis]
                low = (-fx / 2, -fy / 2, -.02 * fz)[axis]
                high = (fx / 2, fy / 2, .98 * fz)[axis]
                if abs(d) < 1e-9:
                    if o < low or o > high:
                        t1 = -1.0
                    continue
                p, q = (low - o) / d, (high - o) / d
                t0, t1 = max(t0, min(p, q)), min(t1, max(p, q))
            depth[v, u] = 0
            if t0 >= t1:
                continue
            t = t0
            for _ in range(96):
                x, y, z = (ox + t * dx) / fx + .5, (oy + t * dy) / fy + .5, (oz + t * dz) / fz + .02
                gx, gy, gz = x * nx - .5, y * ny - .5, z * nz - .5
                d = _at(grid, gx, gy, gz)
                if d < .0012:
                    e = .75
                    depth[v, u] = t
                    normal[v, u, 0] = (_at(grid, gx + e, gy, gz) - _at(grid, gx - e, gy, gz)) * nx / fx
                    normal[v, u, 1] = (_at(grid, gx, gy + e, gz) - _at(grid, gx, gy - e, gz)) * ny / fy
                    normal[v, u, 2] = (_at(grid, gx, gy, gz + e) - _at(grid, gx, gy, gz - e)) * nz / fz
                    kind[v, u] = material[min(max(int(gz + .5), 0), nz - 1), min(max(int(gy + .5), 0), ny - 1), min(max(int(gx + .5), 0), nx - 1)]
                    break
                t += max(d, .0015) * step_scale / length
                if t > t1:
                    break


def trace(name, distance, material, camera, size=SIZE):
    """-> depth (0: nothing), unit normals, materials"""
    depth, normal, kind = np.zeros((size, size), np.float32), np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.uint8)
    _trace(distance, material, *shapes.CLASSES[name][0], .8, camera.back, camera.right, camera.down, camera.target, camera.distance, camera.focal,
           camera.cx, camera.cy, size, depth, normal, kind)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
    return depth, normal, kind


def lines_of(depth, normal, kind):
    """Outline, depth steps, creases and borders of materials, one pixel wide."""
    mask, lines = depth > 0, np.zeros(depth.shape, bool)
    far = np.where(mask, depth, 0)
    for axis in (0, 1):
        a, b = [slice(None)] * 2, [slice(None)] * 2
        a[axis], b[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(a), tuple(b)
        step = (mask[a] != mask[b])
        inside = mask[a] & mask[b]
        first = np.diff(far, axis=axis)  # a grazing plane is no step: its slope stays
        change = np.abs(np.diff(first, axis=axis))
        pad = [(1, 1) if k == axis else (0, 0) for k in (0, 1)]
        wide = np.pad(change, pad)
        bend = np.minimum(np.take(wide, range(first.shape[axis]), axis), np.take(wide, range(1, first.shape[axis] + 1), axis)) > .02
        step |= inside & (np.abs(first) > .03) & bend
        step |= inside & ((normal[a] * normal[b]).sum(2) < .75)
        step |= inside & (kind[a] != kind[b])
        lines[a] |= step
    return lines


def box_of(name, distance):
    """Extent l, w, h (x and y symmetric about the axis) of a grid of distances."""
    fx, fy, fz = shapes.CLASSES[name][0]
    nz, ny, nx = distance.shape
    z, y, x = np.nonzero(distance < 0)
    if not len(x):
        return (1.0, .5, .5)
    return (2 * fx * max(abs((x.min()) / nx - .5), abs((x.max() + 1) / nx - .5)), 2 * fy * max(abs(y.min() / ny - .5), abs((y.max() + 1) / ny - .5)),
            fz * ((z.max() + 1) / nz - .02))


def draw(name, distance, material, box, azimuth, elevation, fov):
    """Clean drawing that fills FILL pixels: mask, lines. `distance` in object units."""
    bounds = (SIZE - FILL) / 2
    camera = camera_of(box, azimuth, elevation, (bounds, bounds, SIZE - bounds, SIZE - bounds), fov)
    for _ in range(2):  # so that what is seen, not the box, fills the larger side
        depth, normal, kind = trace(name, distance, material, camera)
        if not (depth > 0).any():
            return None
        x0, y0, x1, y1 = bounds_of(depth > 0)
        camera.focal *= FILL / max(x1 - x0, y1 - y0) if max(x1 - x0, y1 - y0) < SIZE - 1 else .6
        depth, normal, kind = trace(name, distance, material, camera)
        x0, y0, x1, y1 = bounds_of(depth > 0)
        camera.cx += SIZE / 2 - (x0 + x1) / 2
        camera.cy += SIZE / 2 - (y0 + y1) / 2
    depth, normal, kind = trace(name, distance, material, camera)
    return (depth > 0, lines_of(depth, normal, kind)) if (depth > 0).any() else None


def hand(mask, lines, rng):
    """The same as a hand would draw it: shaky, broken, overdrawn."""
    shape = mask.shape
    shake = rng.uniform(.2, 2.2)
    wander = lambda: [ndimage.zoom(rng.normal(0, 1, (7, 7)), SIZE / 7, order=1) * shake * .8 for _ in range(2)]
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)

    def warp(image, field):
        at = [(y + field[0] + .5).astype(int).clip(0, SIZE - 1), (x + field[1] + .5).astype(int).clip(0, SIZE - 1)]
        return image[tuple(at)]

    field = wander()
    mask, drawn = warp(mask, field), warp(lines, field)
    if rng.random() < .4:
        drawn = drawn | warp(lines, wander())
    if rng.random() < .5:
        drawn = drawn & (ndimage.zoom(rng.normal(0, 1, (12, 12)), SIZE / 12, order=1) > rng.uniform(-1.6, -.4))
    if rng.random() < .2:
        drawn = drawn | (mask & (((x + rng.uniform(.4, 2) * y) % rng.uniform(5, 9)) < 1) & (ndimage.zoom(rng.normal(0, 1, (4, 4)), SIZE / 4, order=1) > .7))
    return mask, drawn

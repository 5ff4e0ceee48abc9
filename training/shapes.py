"""Parametric cars and buildings as signed distances with materials: what kinora-shape is trained on.

Frame: x forward (cars) or along the long facade, y left, z up, standing on z = 0. A class's principal length is 1.
"""
import numpy as np
from numba import njit

NX, NY, NZ = 64, 32, 32
CAR = ["body", "glass", "wheel", "lamp", "trim", "rear lamp"]
BUILDING = ["wall", "window", "roof", "door", "terrace", "ground"]
# name: extent of the grid, typical metres of the principal length, words
CLASSES = {
    "sedan": ((1.04, .48, .42), 4.6, ["sedan", "saloon", "car"]),
    "estate": ((1.04, .48, .42), 4.7, ["estate", "station wagon"]),
    "suv": ((1.04, .50, .50), 4.6, ["suv", "off-roader", "jeep"]),
    "sports": ((1.04, .52, .36), 4.4, ["sports car", "sports", "coupe", "roadster"]),
    "van": ((1.04, .50, .56), 4.9, ["van", "minivan", "camper"]),
    "truck": ((1.04, .38, .54), 8.0, ["truck", "lorry"]),
    "bus": ((1.04, .30, .36), 11.5, ["bus", "coach"]),
    "house": ((1.04, 1.04, 1.16), 10.0, ["house", "villa", "cottage", "home"]),
    "block": ((1.04, .62, .90), 24.0, ["block", "apartment building", "office building", "building"]),
    "tower": ((.60, .60, 1.04), 60.0, ["tower", "high-rise", "skyscraper"]),
    "terraced-school": ((1.04, .84, .56), 48.0, ["terraced school", "terraced-school", "school", "stepped building"]),
    "hall": ((1.04, .84, .52), 40.0, ["hall", "warehouse", "factory", "gymnasium"]),
    "church": ((1.04, .56, 1.20), 30.0, ["church", "chapel"]),
}
CARS = ("sedan", "estate", "suv", "sports", "van", "truck", "bus")
UNION, SUBTRACT, PAINT = 0, 1, 2
BOX, SIDE, FRONT, WHEEL, CONE = 0, 1, 2, 3, 4  # SIDE: polygon in x, z along y; FRONT: polygon in y, z along x


class Solid:
    """A list of primitives, applied in their order."""

    def __init__(self):
        self.rows, self.points = [], []

    def add(self, kind, op, material, numbers, polygon=()):
        row = np.zeros(16, np.float32)
        row[:3] = kind, op, material
        row[3:3 + len(numbers)] = numbers
        row[14], row[15] = len(self.points), len(polygon)
        self.points += list(polygon)
        self.rows.append(row)

    def box(self, low, high, material=0, op=UNION, radius=0):
        low, high = np.asarray(low, float), np.asarray(high, float)
        self.add(BOX, op, material, [*((low + high) / 2), *((high - low) / 2), radius])

    def side(self, polygon, half, material=0, op=UNION, y=0, taper=0, z0=0, radius=0, nose=0):
        """Extruded to y +- half; narrower by `taper` a metre above z0 and by `nose` near the ends in x."""
        self.add(SIDE, op, material, [y, half, taper, z0, radius, nose], polygon)

    def front(self, polygon, low, high, material=0, op=UNION):
        self.add(FRONT, op, material, [(low + high) / 2, (high - low) / 2], polygon)

    def wheel(self, x, y, z, radius, half, material=2, op=UNION):
        self.add(WHEEL, op, material, [x, y, z, radius, half])

    def cone(self, x, y, low, high, r0, r1, material=0, op=UNION, square=False):
        self.add(CONE, op, material, [x, y, low, high, r0, r1, float(square)])

    def bounds(self, row):
        kind, first, count = int(row[0]), int(row[14]), int(row[15])
        n = row[3:14]
        p = np.asarray(self.points[first:first + count]).reshape(-1, 2)
        if kind == BOX:
            return n[:3] - n[3:6], n[:3] + n[3:6]
        if kind == SIDE:
            half = n[1] + abs(n[2])
            return (p[:, 0].min(), n[0] - half, p[:, 1].min()), (p[:, 0].max(), n[0] + half, p[:, 1].max())
        if kind == FRONT:
            return (n[0] - n[1], p[:, 0].min(), p[:, 1].min()), (n[0] + n[1], p[:, 0].max(), p[:, 1].max())
        if kind == WHEEL:
            return (n[0] - n[3], n[1] - n[4], n[2] - n[3]), (n[0] + n[3], n[1] + n[4], n[2] + n[3])
        r = max(n[4], n[5])
        return (n[0] - r, n[1] - r, n[2]), (n[0] + r, n[1] + r, n[3])

    def arrays(self):
        points = np.asarray(self.points if self.points else [(0, 0)], np.float32)
        return np.stack(self.rows), points, np.asarray([np.concatenate(self.bounds(r)) for r in self.rows], np.float32)


@njit(cache=True, fastmath=True)
def polygon_distance(x, y, points, first, count):
    best, inside = 1e9, False
    j = first + count - 1
    for i in range(first, first + count):
        ax, ay, bx, by = points[i, 0], points[i, 1], points[j, 0], points[j, 1]
        ex, ey, wx, wy = bx - ax, by - ay, x - ax, y - ay
        t = min(max((wx * ex + wy * ey) / max(ex * ex + ey * ey, 1e-12), 0.0), 1.0)
        dx, dy = wx - t * ex, wy - t * ey
        best = min(best, dx * dx + dy * dy)
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
        j = i
    return -np.sqrt(best) if inside else np.sqrt(best)


@njit(cache=True, fastmath=True)
def both(a, b):
    """The distance to what two extents bound together."""
    return min(max(a, b), 0.0) + np.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2)


@njit(cache=True, fastmath=True)
def primitive(row, points, x, y, z):
    kind = int(row[0])
    if kind == 0:
        r = row[9]
        dx, dy, dz = abs(x - row[3]) - row[6] + r, abs(y - row[4]) - row[7] + r, abs(z - row[5]) - row[8] + r
        outside = np.sqrt(max(dx, 0.0) ** 2 + max(dy, 0.0) ** 2 + max(dz, 0.0) ** 2)
        return outside + min(max(dx, max(dy, dz)), 0.0) - r
    if kind == 1:
        half = row[4] - row[5] * max(z - row[6], 0.0) - row[8] * max(abs(x) - .3, 0.0) ** 2
        r = row[7]
        return both(polygon_distance(x, z, points, int(row[14]), int(row[15])) + r, abs(y - row[3]) - half + r) - r
    if kind == 2:
        return both(polygon_distance(y, z, points, int(row[14]), int(row[15])), abs(x - row[3]) - row[4])
    if kind == 3:
        return both(np.sqrt((x - row[3]) ** 2 + (z - row[5]) ** 2) - row[6], abs(y - row[4]) - row[7])
    low, high = row[5], row[6]
    share = min(max((z - low) / max(high - low, 1e-6), 0.0), 1.0)
    radius, dx, dy = row[7] + share * (row[8] - row[7]), abs(x - row[3]), abs(y - row[4])
    away = max(dx, dy) if row[9] > .5 else np.sqrt(dx * dx + dy * dy)
    return both(away - radius, abs(z - (low + high) / 2) - (high - low) / 2)


@njit(cache=True, fastmath=True)
def evaluate(rows, points, bounds, reach, frame, nx, ny, nz, distance, material):
    """distance (right up to `reach`), material: [nz][ny][nx] at cell centres."""
    for k in range(nz):
        z = ((k + .5) / nz - .02) * frame[2]
        for j in range(ny):
            y = ((j + .5) / ny - .5) * frame[1]
            for i in range(nx):
                x = ((i + .5) / nx - .5) * frame[0]
                d, m = reach, 0.0
                for p in range(rows.shape[0]):
                    ax, ay, az = max(bounds[p, 0] - x, x - bounds[p, 3]), max(bounds[p, 1] - y, y - bounds[p, 4]), max(bounds[p, 2] - z, z - bounds[p, 5])
                    near = max(ax, max(ay, az))
                    if near > reach or (rows[p, 1] == 2 and (near > 0 or abs(d) > .6 * reach)):
                        continue
                    e = primitive(rows[p], points, x, y, z)
                    op = int(rows[p, 1])
                    if op == 0:
                        if e < d:
                            d, m = e, rows[p, 2]
                    elif op == 1:
                        d = max(d, -e)
                    elif e < 0:
                        m = rows[p, 2]
                d = max(d, -z)
                distance[k, j, i] = d
                material[k, j, i] = int(m)


def grid(solid, name, scale=2):
    """-> distances in cells (mean cell size of the coarse grid) and materials, [nz][ny][nx] `scale` times as fine."""
    frame = np.asarray(CLASSES[name][0], np.float32)
    shape = (NZ * scale, NY * scale, NX * scale)
    distance, material = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    rows, points, bounds = solid.arrays()
    evaluate(rows, points, bounds, 5 * cell_size(name), frame, shape[2], shape[1], shape[0], distance, material)
    return distance / cell_size(name), material


def cell_size(name):
    fx, fy, fz = CLASSES[name][0]
    return (fx / NX + fy / NY + fz / NZ) / 3


# --- cars ------------------------------------------------------------------------------------------------------------


def windows(s, roof, belt, top, half, pillars, taper):
    """Glass all around between two heights, but for pillars (x from, to) on the sides."""
    s.box((-.6, -half - .05, belt), (.6, half + .05, top), 1, PAINT)
    for low, high in pillars:
        for side in (-1, 1):
            s.box((low, side * half * .55 - .2 * (side < 0), belt - .01), (high, side * half * .55 + .2 * (side > 0), top + .01), 0, PAINT)


def wheels(s, xs, half, radius, width, arch=1.16):
    for x in xs:
        for side in (-1, 1):
            s.wheel(x, side * half, radius, radius * arch, width * 1.25, op=SUBTRACT)
    for x in xs:
        for side in (-1, 1):
            s.wheel(x, side * (half - width * .55), radius, radius, width * .5)
            s.wheel(x, side * (half - width * .05), radius, radius * .55, width * .1, material=4)


def passenger_car(rng, name):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    height = {"sedan": u(.29, .34), "estate": u(.30, .35), "suv": u(.35, .42), "sports": u(.25, .30)}[name]
    half = {"suv": u(.195, .22), "sports": u(.20, .235)}.get(name, u(.19, .21))
    clear = {"suv": u(.045, .065), "sports": u(.022, .032)}.get(name, u(.032, .045))
    belt, bonnet = height * u(.60, .68), height * u(.52, .62)
    nose, tail = height * u(.40, .52), height * u(.52, .66)
    cowl = {"sports": u(.10, .18)}.get(name, u(.17, .24))  # foot of the windscreen
    screen = u(.09, .17) * (1.3 if name == "sports" else 1)
    boot = {"sedan": u(-.34, -.28), "estate": u(-.485, -.45), "suv": u(-.48, -.43), "sports": u(-.42, -.28)}[name]
    rear = {"sedan": u(.08, .17), "estate": u(.02, .07), "suv": u(.02, .09), "sports": u(.12, .26)}[name]
    lid = max(belt * u(.92, 1.04), tail)
    body = [(-.5, clear + .03), (-.485, clear), (.47, clear), (.5, clear + .04), (.5 - u(0, .02), nose), (.44, nose + .7 * (bonnet - nose)),
            (cowl, belt), (boot, lid), (-.47, lid - u(0, .02)), (-.5 + u(0, .015), tail * .8)]
    s.side(body, half, taper=u(.05, .3), z0=belt * .55, radius=u(.008, .02), nose=u(.5, 1.6))
    house = [(cowl + .01, belt - .02), (cowl - screen, height - u(.004, .012)), (u(-.1, 0), height), (boot + rear, height - u(.005, .02)),
             (boot - .005, lid - .01), (boot, belt - .02)]
    s.side(house, half * u(.9, .96), taper=u(.35, .6), z0=belt - .02, radius=u(.004, .012))
    wheel = {"suv": u(.075, .088), "sports": u(.068, .080)}.get(name, u(.064, .074))
    front, back = u(.29, .34), u(-.34, -.26)
    top = height - u(.016, .026)
    middle = u(-.06, .03)
    windows(s, height, belt + u(.003, .012), top, half, [(middle - .014, middle + .014), (boot + rear * .55 - .012, boot + rear * .55 + .02)] +
            ([(u(-.27, -.22), u(-.21, -.19))] if name in ("estate", "suv") else []), .5)
    wheels(s, (front, back), half, wheel, u(.05, .065))
    lamp = u(.045, .09)
    for side in (-1, 1):
        s.box((.42, side * half - (.09 if side > 0 else .02), nose - lamp * .7), (.52, side * half + (.02 if side > 0 else .09), nose + .012), 3, PAINT)
        s.box((-.52, side * half - (.07 if side > 0 else .02), tail * .62), (-.455, side * half + (.02 if side > 0 else .07), tail * .95), 5, PAINT)
    s.box((.47, -half * .6, clear + .02), (.52, half * .6, nose * u(.55, .9)), 4, PAINT)
    if rng.random() < .6:
        s.box((-.52, -half - .02, clear - .01), (.52, half + .02, clear + u(.01, .03)), 4, PAINT)
    if rng.random() < .75:
        for side in (-1, 1):
            s.box((cowl - .06, side * (half + .012) - .014, belt), (cowl - .035, side * (half + .012) + .014, belt + .026), radius=.004)
    if name == "suv" and rng.random() < .5:
        for side in (-1, 1):
            s.box((boot + rear, side * half * .72 - .006, height), (cowl - screen, side * half * .72 + .006, height + .012), 4)
    if name == "sports" and rng.random() < .3:
        s.box((-.5, -half * .8, lid + .03), (-.45, half * .8, lid + .042), 0)
        for side in (-1, 1):
            s.box((-.485, side * half * .6 - .006, lid - .02), (-.465, side * half * .6 + .006, lid + .04), 0)
    return s


def van(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    height, half, clear = u(.38, .50), u(.19, .225), u(.035, .055)
    nose, belt = height * u(.36, .46), height * u(.50, .58)
    cowl = u(.28, .42)
    screen = u(.08, .2)
    body = [(-.5, clear), (.47, clear), (.5, clear + .04), (.5, nose), (cowl, belt), (cowl - screen, height - .01), (cowl - screen - .08, height),
            (-.47, height), (-.5, height - u(.01, .05))]
    s.side(body, half, taper=u(.1, .3), z0=belt, radius=u(.01, .03), nose=u(.3, 1))
    panel = rng.random() < .4
    top = height - u(.05, .09)
    edge = cowl - screen - u(.08, .14)
    s.box((edge if panel else -.6, -.3, belt + .01), (.6, .3, top), 1, PAINT)
    for low in ([edge - .02] if panel else [edge - .01, u(-.12, -.04), u(-.36, -.3)]):
        for side in (-1, 1):
            s.box((low, .1 * side - .15 * (side < 0), belt), (low + .028, .1 * side + .15 * (side > 0), top + .01), 0, PAINT)
    wheels(s, (u(.29, .35), u(-.34, -.27)), half, u(.064, .078), u(.05, .062))
    for side in (-1, 1):
        s.box((.45, side * half - (.07 if side > 0 else .02), nose - .08), (.52, side * half + (.02 if side > 0 else .07), nose), 3, PAINT)
        s.box((-.52, side * half - (.03 if side > 0 else .02), belt * .6), (-.48, side * half + (.02 if side > 0 else .03), belt * 1.1), 5, PAINT)
    s.box((.47, -half * .6, clear + .02), (.52, half * .6, nose * .7), 4, PAINT)
    return s


def truck(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    half, clear, height = u(.135, .165), u(.05, .07), u(.34, .46)
    cab = u(.22, .3)
    top = height * u(.82, 1.0)
    low = u(.115, .14)
    s.side([(.5 - cab, clear), (.49, clear), (.5, clear + .03), (.5, top * u(.5, .6)), (.5 - u(.005, .05), top - .02), (.48 - cab * .4, top), (.5 - cab, top)],
           half * .97, radius=.008)
    s.box((-.5, -half * .6, clear + .02), (.5 - cab, half * .6, low))
    kind = rng.integers(3)
    if kind < 2:
        s.box((-.5, -half, low), (.5 - cab - u(.012, .04), half, height), 0, radius=.004)
    else:
        s.box((-.5, -half, low - .01), (.5 - cab - .02, half, low + .02), 4)
        s.box((-.5, -half, low), (.5 - cab - .02, half, low + u(.05, .1)), 0)
        s.box((-.485, -half + .015, low + .02), (.5 - cab - .035, half - .015, 1), 0, SUBTRACT)
    s.box((.5 - cab * .62, -.3, top * .58), (.6, .3, top * .88), 1, PAINT)
    r = u(.055, .066)
    wheels(s, (u(.34, .38), u(-.33, -.27)) + ((u(-.46, -.42),) if rng.random() < .5 else ()), half, r, .05, 1.12)
    for side in (-1, 1):
        s.box((.47, side * half * .7 - .03, clear + .03), (.52, side * half * .7 + .03, clear + .075), 3, PAINT)
    return s


def bus(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    half, clear, height = u(.105, .125), u(.02, .032), u(.26, .31)
    s.side([(-.5, clear), (.49, clear), (.5, clear + .04), (.5 - u(0, .03), height - .015), (.46, height), (-.48, height), (-.5, height - .02)], half,
           radius=u(.006, .015))
    low, top = height * u(.36, .46), height * u(.78, .88)
    s.box((-.46, -.2, low), (.52, .2, top), 1, PAINT)
    count = rng.integers(4, 8)
    for i in range(1, count):
        x = -.46 + i * .92 / count
        for side in (-1, 1):
            s.box((x - .006, .09 * side - .1 * (side < 0), low - .01), (x + .006, .09 * side + .1 * (side > 0), top + .01), 0, PAINT)
    wheels(s, (u(.26, .34), u(-.32, -.24)), half, u(.042, .05), .032, 1.12)
    for side in (-1, 1):
        s.box((.47, side * half * .75 - .02, clear + .025), (.52, side * half * .75 + .02, clear + .06), 3, PAINT)
        s.box((-.52, side * half * .8 - .015, clear + .04), (-.48, side * half * .8 + .015, clear + .1), 5, PAINT)
    if rng.random() < .5:
        s.box((u(-.2, 0), -half * .6, height), (u(.1, .3), half * .6, height + .02), 4)
    return s


# --- buildings -------------------------------------------------------------------------------------------------------


def facade(s, low, high, storeys, rng, depth=.02, door=True, side=True, band=False):
    """Rows of windows on the four walls of a box."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    storey = (z1 - z0) / storeys
    wide, tall = rng.uniform(.45, .7), rng.uniform(.4, .62)
    pitch = storey * rng.uniform(.9, 1.4)
    for k in range(storeys):
        zl = z0 + storey * (k + .5 - tall / 2)
        zh = zl + storey * tall
        for a, b, along in ((x0, x1, 0), (y0, y1, 1)) if side else ((x0, x1, 0),):
            count = max(int((b - a) / pitch), 1)
            step = (b - a) / count
            spans = [(a + step * .2, b - step * .2)] if band else [(a + step * (i + .5 - wide / 2), a + step * (i + .5 + wide / 2)) for i in range(count)]
            for p, q in spans:
                if along == 0:
                    s.box((p, y0 - depth, zl), (q, y0 + depth, zh), 1, PAINT)
                    s.box((p, y1 - depth, zl), (q, y1 + depth, zh), 1, PAINT)
                else:
                    s.box((x0 - depth, p, zl), (x0 + depth, q, zh), 1, PAINT)
                    s.box((x1 - depth, p, zl), (x1 + depth, q, zh), 1, PAINT)
    if door:
        x = rng.uniform(x0 * .6, x1 * .6)
        s.box((x - storey * .2, y1 - depth, z0), (x + storey * .2, y1 + depth, z0 + storey * .75), 3, PAINT)


def gable(s, low, high, rise, over=0.0, along_x=True, material=2):
    (x0, y0, _), (x1, y1, z) = low, high
    if along_x:
        m = (y0 + y1) / 2
        s.front([(y0 - over, z), (y1 + over, z), (m, z + rise)], x0 - over, x1 + over, material)
    else:
        m = (x0 + x1) / 2
        s.side([(x0 - over, z), (x1 + over, z), (m, z + rise)], (y1 - y0) / 2 + over, material, y=(y0 + y1) / 2)


def house(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    over = u(0, .035)
    half, deep, wall = .5 - over, u(.3, .49) - over, u(.28, .62)
    low, high = (-half, -deep, 0), (half, deep, wall)
    s.box(low, high)
    kind = rng.integers(4)
    along = rng.random() < .7
    if kind < 2:
        gable(s, low, high, u(.2, .5) * (deep if along else half) * 1.5, over, along)
    elif kind == 2:  # hipped
        rise = u(.18, .35)
        gable(s, low, high, rise, over, True)
        s.side([(-.7, wall + rise + .01), (-half - over - .01, wall - .01), (-half + deep * u(.5, 1), wall + rise + .01)], 2, op=SUBTRACT)
        s.side([(.7, wall + rise + .01), (half + over + .01, wall - .01), (half - deep * u(.5, 1), wall + rise + .01)], 2, op=SUBTRACT)
    else:
        s.box((-half - over, -deep - over, wall), (half + over, deep + over, wall + u(.02, .05)), 2)
    facade(s, low, high, 1 if wall < .42 else 2, rng)
    if kind != 3 and rng.random() < .6:
        x, y = u(-.35, .35), u(-.2, .2) * (deep / .5)
        s.box((x - .03, y - .03, wall), (x + .03, y + .03, wall + u(.25, .42)), 0)
    if kind < 2 and along and rng.random() < .4:  # a dormer
        x = u(-.25, .25)
        s.box((x - .08, 0, wall), (x + .08, deep * .8, wall + u(.12, .2)), 0)
        s.box((x - .05, deep * .7, wall + .03), (x + .05, deep * .85, wall + .11), 1, PAINT)
    if rng.random() < .35:  # an annex
        side, depth = rng.choice([-1, 1]), u(.1, .2)
        x0 = u(-.4, 0)
        y = side * deep
        s.box((x0, min(y, y + side * depth), 0), (x0 + u(.25, .45), max(y, y + side * depth), wall * u(.5, .9)), 0)
    return s


def flat_roof(s, low, high, rng):
    (x0, y0, _), (x1, y1, z) = low, high
    s.box((x0, y0, z - .015), (x1, y1, z + .006), 2, PAINT)
    if rng.random() < .5:
        s.box((x0 + .02, y0 + .02, z - .02), (x1 - .02, y1 - .02, 2), op=SUBTRACT)
    if rng.random() < .5:
        x, y = rng.uniform(x0, x1) * .6, rng.uniform(y0, y1) * .6
        s.box((x - .06, y - .05, z - .03), (x + .06, y + .05, z + rng.uniform(.03, .07)), 0)


def block(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    storeys = int(rng.integers(3, 9))
    deep, height = u(.16, .28), min(storeys * u(.08, .12), .82)
    low, high = (-.5, -deep, 0), (.5, deep, height)
    wing = rng.random() < .35
    if wing:
        cut = u(.1, .3)
        low, high = (-.5, -.28, 0), (.5, -.28 + u(.2, .3), height)
        s.box(low, high)
        x0 = rng.choice([-.5, .5 - cut])
        s.box((x0, -.28, 0), (x0 + cut, .28, height * rng.choice([1, u(.6, .9)])))
        facade(s, (x0, -.28, 0), (x0 + cut, .28, height), storeys, rng, door=False)
    else:
        s.box(low, high)
    facade(s, low, high, storeys, rng, band=rng.random() < .25)
    if rng.random() < .75:
        flat_roof(s, low, high, rng)
    else:
        gable(s, low, high, min(u(.08, .2), .86 - height + .02), .01)
    if rng.random() < .35:  # balconies
        for k in range(1, storeys):
            z = height * k / storeys
            s.box((-.3, high[1], z), (.3, high[1] + .04, z + .012), 4)
    return s


def tower(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    x, y, parts = u(.14, .27), u(.12, .27), int(rng.integers(1, 4))
    z, storeys = 0.0, int(rng.integers(12, 24))
    heights = np.cumsum([u(.5, 1) for _ in range(parts)])
    heights /= heights[-1]
    round_ = rng.random() < .15
    for i in range(parts):
        top = heights[i]
        if round_:
            s.cone(0, 0, 0, top, x, x)
        else:
            s.box((-x, -y, 0), (x, y, top))
        step = 1 / storeys
        for k in range(int(z / step), int(top / step)):
            s.box((-x - .01, -y - .01, (k + .25) * step), (x + .01, y + .01, (k + .75) * step), 1, PAINT)
        s.box((-x, -y, top - .008), (x, y, top + .01), 2, PAINT)
        z, x, y = top, x * u(.6, .9), y * u(.6, .9)
    if rng.random() < .4:
        s.box((-.295, -.295, 0), (.295, .295, u(.05, .1)))
    return s


def terraced_school(rng):
    """Storeys step back, so that every classroom has light from its terrace."""
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    storeys = int(rng.integers(2, 6))
    storey = min(u(.075, .11), .5 / storeys)
    deep = u(.26, .4)
    step = u(.25, .8) * 2 * deep / (storeys + .5)
    ends = u(0, .05) if rng.random() < .5 else 0
    both_sides = rng.random() < .25
    wide, tall = u(.5, .8), u(.45, .7)
    for k in range(storeys):
        x0, x1 = -.5 + ends * k, .5 - ends * k
        y0 = -deep + (step / 2 * k if both_sides else 0)
        y1 = deep - (step / 2 * k if both_sides else step * k)
        z0, z1 = k * storey, (k + 1) * storey
        if y1 - y0 < .12:
            break
        s.box((x0, y0, 0), (x1, y1, z1))
        s.box((x0 - .01, y0 - .01, z1 - .01), (x1 + .01, y1 + .01, z1 + .008), 4, PAINT)
        rooms = max(int((x1 - x0) / (storey * u(1.2, 1.8))), 2)
        for i in range(rooms):
            a = x0 + (x1 - x0) * (i + .5 - wide / 2) / rooms
            b = x0 + (x1 - x0) * (i + .5 + wide / 2) / rooms
            for y in (y0, y1):
                s.box((a, y - .02, z0 + storey * (.55 - tall / 2)), (b, y + .02, z0 + storey * (.55 + tall / 2)), 1, PAINT)
        if rng.random() < .4:
            s.box((x0, y1 - .008, z1), (x1, y1, z1 + storey * .2), 4)
    s.box((x0 + .02, y0 + .02, z1 - .01), (x1 - .02, y1 - .02, z1 + .02), 2, PAINT)
    s.box((-.06, deep - .02, 0), (.06, deep + .02, storey * .8), 3, PAINT)
    if rng.random() < .4:
        x = rng.choice([-.5, .4])
        s.box((x, -deep, 0), (x + .1, -deep + .12, min(storeys * storey + u(.01, .05), .53)))
    return s


def hall(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    deep, wall = u(.2, .4), u(.14, .3)
    low, high = (-.5, -deep, 0), (.5, deep, wall)
    s.box(low, high)
    kind = rng.integers(4)
    if kind == 0:
        gable(s, low, high, u(.04, .16), .006)
    elif kind == 1:
        teeth = int(rng.integers(3, 7))
        for i in range(teeth):
            a, b = -.5 + i / teeth, -.5 + (i + 1) / teeth
            s.side([(a, wall), (b, wall), (a, wall + u(.06, .09))], deep, 2)
    elif kind == 2:
        rise = u(.05, .16)
        arc = [(deep * np.cos(t), wall + rise * np.sin(t)) for t in np.linspace(0, np.pi, 10)]
        s.front(arc, -.5, .5, 2)
    else:
        s.box((-.5, -deep, wall - .015), (.5, deep, wall + .01), 2, PAINT)
    z = wall * u(.5, .7)
    s.box((-.47, -deep - .01, z), (.47, deep + .01, z + wall * .2), 1, PAINT)
    for x in rng.uniform(-.4, .4, 2):
        s.box((x - .06, deep - .01, 0), (x + .06, deep + .01, wall * .45), 3, PAINT)
    if rng.random() < .4:
        s.box((-.5, deep - .02, 0), (u(-.2, .2), min(deep + u(.05, .15), .415), wall * u(.4, .7)))
    return s


def church(rng):
    u = lambda a, b: rng.uniform(a, b)
    s = Solid()
    nave, wall = u(.12, .2), u(.2, .34)
    tower_half = u(.07, .12)
    x0 = -.5 if rng.random() < .5 else -.4
    low, high = (x0, -nave, 0), (.5 - tower_half, nave, wall)
    s.box(low, high)
    gable(s, low, high, u(.5, 1.3) * nave, .005)
    tall = u(.45, .72)
    s.box((.5 - 2 * tower_half, -tower_half, 0), (.5, tower_half, tall))
    s.cone(.5 - tower_half, 0, tall, min(tall + u(.1, .42), 1.14), tower_half, .004, 2, square=rng.random() < .7)
    if x0 > -.45:
        s.cone(x0, 0, 0, wall * .9, nave * .7, nave * .7)
    if rng.random() < .35:  # transept
        x = u(-.2, .1)
        wide = min(nave + u(.06, .12), .27)
        s.box((x - .08, -wide, 0), (x + .08, wide, wall))
        gable(s, (x - .08, -wide, 0), (x + .08, wide, wall), u(.06, .12), .003, False)
    for i in range(4):
        x = x0 + .1 + i * .14
        s.box((x, -nave - .01, wall * .3), (x + .05, nave + .01, wall * .8), 1, PAINT)
    s.box((.47, -.03, 0), (.52, .03, wall * .45), 3, PAINT)
    s.box((.5 - tower_half * 1.4, -tower_half - .01, tall * .78), (.5 - tower_half * .6, tower_half + .01, tall * .9), 1, PAINT)
    return s


MAKERS = {"van": van, "truck": truck, "bus": bus, "house": house, "block": block, "tower": tower, "terraced-school": terraced_school, "hall": hall,
          "church": church}


def make(name, seed):
    rng = np.random.default_rng(seed)
    return MAKERS[name](rng) if name in MAKERS else passenger_car(rng, name)

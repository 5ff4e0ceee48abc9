#include "scene/render/light.h"

#include <math.h>

/* Clear sky and sun at some elevations of the sun (degrees), in exposure-adapted units: a film camera's automatic
 * exposure keeps a white paper near 1 by day and lets nights stay dark. Between the rows everything is interpolated.
 * Radiances by day follow the ratios of sun, sky and ground light in the CIE clear sky (ISO 15469); lamps gain as
 * exposure opens. */
typedef struct key {
    float elevation;
    float sun[3], zenith[3], horizon[3];
    float overcast; /* radiance of a fully clouded sky, grey */
    float lamp_scale, lamps_on, darkness;
} key;

static const key keys[] = {
    {-14, {.014f, .019f, .030f}, {.011f, .0150f, .028f}, {.036f, .034f, .041f}, .026f, 1.0f, 1, 1},
    {-8, {.014f, .019f, .030f}, {.0140f, .0200f, .041f}, {.050f, .043f, .047f}, .034f, .9f, 1, .93f},
    {-3, {.004f, .004f, .005f}, {.035f, .058f, .130f}, {.24f, .16f, .14f}, .105f, .6f, 1, .65f},
    {1, {.22f, .10f, .035f}, {.065f, .110f, .230f}, {.46f, .29f, .19f}, .19f, .4f, 1, .42f},
    {6, {.50f, .33f, .17f}, {.095f, .165f, .345f}, {.50f, .41f, .35f}, .32f, .12f, .5f, .15f},
    {15, {.68f, .57f, .43f}, {.12f, .21f, .44f}, {.47f, .52f, .58f}, .42f, 0, 0, 0},
    {40, {.74f, .69f, .61f}, {.13f, .24f, .50f}, {.46f, .56f, .68f}, .56f, 0, 0, 0},
    {90, {.76f, .72f, .65f}, {.13f, .24f, .50f}, {.46f, .56f, .68f}, .60f, 0, 0, 0},
};
enum { KEYS = sizeof keys / sizeof keys[0] };

static float mix(float a, float b, float t) { return a + (b - a) * t; }

static double unit(double value) { return value > 0 ? (value < 1 ? value : 1) : 0; } /* NaN gives 0 */

static key key_at(double elevation) {
    size_t i = 0;
    while (i + 2 < KEYS && elevation > keys[i + 1].elevation) i++;
    const key *a = &keys[i], *b = &keys[i + 1];
    float t = (float)unit((elevation - a->elevation) / (b->elevation - a->elevation));
    key at = {.elevation = (float)elevation};
    for (int c = 0; c < 3; c++) {
        at.sun[c] = mix(a->sun[c], b->sun[c], t);
        at.zenith[c] = mix(a->zenith[c], b->zenith[c], t);
        at.horizon[c] = mix(a->horizon[c], b->horizon[c], t);
    }
    at.overcast = mix(a->overcast, b->overcast, t);
    at.lamp_scale = mix(a->lamp_scale, b->lamp_scale, t);
    at.lamps_on = mix(a->lamps_on, b->lamps_on, t);
    at.darkness = mix(a->darkness, b->darkness, t);
    return at;
}

static kn_vec3 direction_of_sun(const kn_weather *weather, double degrees) {
    double azimuth = isfinite(weather->sun_azimuth) ? weather->sun_azimuth : 0;
    if (degrees < -2) { /* the moon: opposite and high, so that the night has a shape */
        azimuth += M_PI;
        degrees = 50;
    }
    double elevation = fmax(degrees, 1.5) * M_PI / 180; /* a sun on the horizon would only graze */
    return (kn_vec3){sin(azimuth) * cos(elevation), cos(azimuth) * cos(elevation), sin(elevation)};
}

/* Fog takes the colour of the sky near the horizon, greyer the thicker it is. */
static void set_fog(kn_light_setup *light, const kn_weather *weather, double rain) {
    double range = weather->fog_range > 1 && isfinite(weather->fog_range) ? weather->fog_range : 0;
    double extinction = range > 0 ? 3.0 / range : 3.0 / 9000;
    light->fog_extinction = (float)(extinction + rain * 3.0 / 1600);
    float grey = (light->horizon[0] + light->horizon[1] + light->horizon[2]) / 3;
    float thick = (float)unit(extinction * 300);
    for (int c = 0; c < 3; c++) {
        light->fog_color[c] = mix(light->horizon[c], grey, .3f + .7f * thick);
        light->horizon[c] = mix(light->horizon[c], light->fog_color[c], thick);
        light->zenith[c] = mix(light->zenith[c], light->fog_color[c], thick * .85f);
    }
}

kn_light_setup kn_light_setup_from_weather(const kn_weather *weather) {
    double degrees = isfinite(weather->sun_elevation) ? weather->sun_elevation * 180 / M_PI : 40;
    double cloud = unit(weather->cloud_cover), rain = unit(weather->rain);
    if (rain > 0) cloud = fmax(cloud, .75 + .25 * rain);
    if (weather->fog_range > 1 && weather->fog_range < 400) cloud = fmax(cloud, 1 - weather->fog_range / 400);
    key at = key_at(degrees);
    float cover = (float)(cloud * cloud * (3 - 2 * cloud)), through = powf(1 - cover, 1.5f);
    float gloom = (float)(1 - .3 * rain);
    kn_light_setup light = {.sun_direction = direction_of_sun(weather, degrees),
                            .lamp_scale = at.lamp_scale,
                            .lamps_on = at.lamps_on,
                            .darkness = at.darkness,
                            .emission_scale = 1};
    const float cloud_tint[3] = {mix(.97f, .84f, at.darkness), 1, mix(1.05f, 1.32f, at.darkness)};
    static const float earth[3] = {.30f, .28f, .25f};
    for (int c = 0; c < 3; c++) {
        float grey = at.overcast * gloom * cloud_tint[c];
        light.sun_color[c] = at.sun[c] * through;
        light.zenith[c] = mix(at.zenith[c], grey * 1.12f, cover);
        light.horizon[c] = mix(at.horizon[c], grey * .92f, cover);
        float down = .6f * light.zenith[c] + .4f * light.horizon[c];
        light.ground[c] = earth[c] * (down + light.sun_color[c] * (float)fmax(light.sun_direction.z, 0));
    }
    /* Street lamps also come on under a dark sky. */
    float dim = (float)unit((rain - .6) * 1.5) * (at.lamps_on > 0 ? 1.0f : (degrees < 12 ? .6f : 0));
    light.lamps_on = fmaxf(light.lamps_on, dim);
    float brightest = fmaxf(light.sun_color[0], fmaxf(light.sun_color[1], light.sun_color[2]));
    light.sun_shadows = brightest > .15f * (light.zenith[1] + .01f);
    set_fog(&light, weather, rain);
    /* a camera opens up at dusk and at night */
    light.exposure = 1.15f + .7f * light.darkness - .2f * fminf(light.fog_extinction * 40, 1);
    return light;
}

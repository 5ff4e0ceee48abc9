/* Codecs of the film writer: names, pixel formats, options. */
#include "encoders/film.h"

#include <libavutil/cpu.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name, *encoder;
    int depth, chroma; /* the usual ones */
    bool pictures, alpha;
} codecs[KN_FILM_CODEC_COUNT] = {
    [KN_FILM_PRORES] = {"prores", "prores_ks", 10, 422, false, true},
    [KN_FILM_DNXHR] = {"dnxhr", "dnxhd", 10, 422, false, false},
    [KN_FILM_H264] = {"h264", "libx264", 8, 420, false, false},
    [KN_FILM_H265] = {"h265", "libx265", 10, 420, false, false},
    [KN_FILM_FFV1] = {"ffv1", "ffv1", 8, 420, false, true},
    [KN_FILM_EXR] = {"exr", "exr", 16, 444, true, true},
    [KN_FILM_DPX] = {"dpx", "dpx", 10, 444, true, true},
    [KN_FILM_TIFF] = {"tiff", "tiff", 8, 444, true, true},
    [KN_FILM_PNG] = {"png", "png", 8, 444, true, true},
};

/* What each codec can store, best choice first where two fit. */
static const struct {
    kn_film_codec codec;
    int depth, chroma;
    bool alpha, rgb;
    enum AVPixelFormat format;
} formats[] = {
    {KN_FILM_PRORES, 10, 422, false, false, AV_PIX_FMT_YUV422P10LE},
    {KN_FILM_PRORES, 10, 444, false, false, AV_PIX_FMT_YUV444P10LE},
    {KN_FILM_PRORES, 10, 444, true, false, AV_PIX_FMT_YUVA444P10LE},
    {KN_FILM_DNXHR, 8, 422, false, false, AV_PIX_FMT_YUV422P},
    {KN_FILM_DNXHR, 10, 422, false, false, AV_PIX_FMT_YUV422P10LE},
    {KN_FILM_DNXHR, 10, 444, false, false, AV_PIX_FMT_YUV444P10LE},
    {KN_FILM_H264, 8, 420, false, false, AV_PIX_FMT_YUV420P},
    {KN_FILM_H264, 8, 422, false, false, AV_PIX_FMT_YUV422P},
    {KN_FILM_H264, 8, 444, false, false, AV_PIX_FMT_YUV444P},
    {KN_FILM_H264, 10, 420, false, false, AV_PIX_FMT_YUV420P10LE},
    {KN_FILM_H264, 10, 422, false, false, AV_PIX_FMT_YUV422P10LE},
    {KN_FILM_H264, 10, 444, false, false, AV_PIX_FMT_YUV444P10LE},
    {KN_FILM_H265, 8, 420, false, false, AV_PIX_FMT_YUV420P},
    {KN_FILM_H265, 8, 422, false, false, AV_PIX_FMT_YUV422P},
    {KN_FILM_H265, 8, 444, false, false, AV_PIX_FMT_YUV444P},
    {KN_FILM_H265, 10, 420, false, false, AV_PIX_FMT_YUV420P10LE},
    {KN_FILM_H265, 10, 422, false, false, AV_PIX_FMT_YUV422P10LE},
    {KN_FILM_H265, 10, 444, false, false, AV_PIX_FMT_YUV444P10LE},
    {KN_FILM_H265, 12, 420, false, false, AV_PIX_FMT_YUV420P12LE},
    {KN_FILM_H265, 12, 422, false, false, AV_PIX_FMT_YUV422P12LE},
    {KN_FILM_H265, 12, 444, false, false, AV_PIX_FMT_YUV444P12LE},
    {KN_FILM_FFV1, 8, 420, false, false, AV_PIX_FMT_YUV420P},
    {KN_FILM_FFV1, 8, 422, false, false, AV_PIX_FMT_YUV422P},
    {KN_FILM_FFV1, 8, 444, false, false, AV_PIX_FMT_YUV444P},
    {KN_FILM_FFV1, 8, 420, true, false, AV_PIX_FMT_YUVA420P},
    {KN_FILM_FFV1, 8, 422, true, false, AV_PIX_FMT_YUVA422P},
    {KN_FILM_FFV1, 8, 444, true, false, AV_PIX_FMT_YUVA444P},
    {KN_FILM_FFV1, 10, 420, false, false, AV_PIX_FMT_YUV420P10LE},
    {KN_FILM_FFV1, 10, 422, false, false, AV_PIX_FMT_YUV422P10LE},
    {KN_FILM_FFV1, 10, 444, false, false, AV_PIX_FMT_YUV444P10LE},
    {KN_FILM_FFV1, 10, 420, true, false, AV_PIX_FMT_YUVA420P10LE},
    {KN_FILM_FFV1, 10, 422, true, false, AV_PIX_FMT_YUVA422P10LE},
    {KN_FILM_FFV1, 10, 444, true, false, AV_PIX_FMT_YUVA444P10LE},
    {KN_FILM_FFV1, 12, 420, false, false, AV_PIX_FMT_YUV420P12LE},
    {KN_FILM_FFV1, 12, 422, false, false, AV_PIX_FMT_YUV422P12LE},
    {KN_FILM_FFV1, 12, 444, false, false, AV_PIX_FMT_YUV444P12LE},
    {KN_FILM_FFV1, 16, 420, false, false, AV_PIX_FMT_YUV420P16LE},
    {KN_FILM_FFV1, 16, 422, false, false, AV_PIX_FMT_YUV422P16LE},
    {KN_FILM_FFV1, 16, 444, false, false, AV_PIX_FMT_YUV444P16LE},
    {KN_FILM_FFV1, 16, 420, true, false, AV_PIX_FMT_YUVA420P16LE},
    {KN_FILM_FFV1, 16, 422, true, false, AV_PIX_FMT_YUVA422P16LE},
    {KN_FILM_FFV1, 16, 444, true, false, AV_PIX_FMT_YUVA444P16LE},
    {KN_FILM_FFV1, 8, 444, false, true, AV_PIX_FMT_0RGB32},
    {KN_FILM_FFV1, 8, 444, true, true, AV_PIX_FMT_RGB32},
    {KN_FILM_FFV1, 10, 444, false, true, AV_PIX_FMT_GBRP10LE},
    {KN_FILM_FFV1, 10, 444, true, true, AV_PIX_FMT_GBRAP10LE},
    {KN_FILM_FFV1, 12, 444, false, true, AV_PIX_FMT_GBRP12LE},
    {KN_FILM_FFV1, 12, 444, true, true, AV_PIX_FMT_GBRAP12LE},
    {KN_FILM_FFV1, 16, 444, false, true, AV_PIX_FMT_GBRP16LE},
    {KN_FILM_FFV1, 16, 444, true, true, AV_PIX_FMT_GBRAP16LE},
    {KN_FILM_EXR, 16, 444, false, true, AV_PIX_FMT_GBRPF32LE},
    {KN_FILM_EXR, 16, 444, true, true, AV_PIX_FMT_GBRAPF32LE},
    {KN_FILM_EXR, 32, 444, false, true, AV_PIX_FMT_GBRPF32LE},
    {KN_FILM_EXR, 32, 444, true, true, AV_PIX_FMT_GBRAPF32LE},
    {KN_FILM_DPX, 8, 444, false, true, AV_PIX_FMT_RGB24},
    {KN_FILM_DPX, 8, 444, true, true, AV_PIX_FMT_RGBA},
    {KN_FILM_DPX, 10, 444, false, true, AV_PIX_FMT_GBRP10BE},
    {KN_FILM_DPX, 12, 444, false, true, AV_PIX_FMT_GBRP12BE},
    {KN_FILM_DPX, 16, 444, false, true, AV_PIX_FMT_RGB48BE},
    {KN_FILM_DPX, 16, 444, true, true, AV_PIX_FMT_RGBA64BE},
    {KN_FILM_TIFF, 8, 444, false, true, AV_PIX_FMT_RGB24},
    {KN_FILM_TIFF, 8, 444, true, true, AV_PIX_FMT_RGBA},
    {KN_FILM_TIFF, 16, 444, false, true, AV_PIX_FMT_RGB48LE},
    {KN_FILM_TIFF, 16, 444, true, true, AV_PIX_FMT_RGBA64LE},
    {KN_FILM_PNG, 8, 444, false, true, AV_PIX_FMT_RGB24},
    {KN_FILM_PNG, 8, 444, true, true, AV_PIX_FMT_RGBA},
    {KN_FILM_PNG, 16, 444, false, true, AV_PIX_FMT_RGB48BE},
    {KN_FILM_PNG, 16, 444, true, true, AV_PIX_FMT_RGBA64BE},
};

static const struct {
    const char *extension;
    kn_film_codec codec;
} endings[] = {{".mov", KN_FILM_PRORES}, {".mp4", KN_FILM_H264},  {".m4v", KN_FILM_H264},
               {".mkv", KN_FILM_FFV1},   {".exr", KN_FILM_EXR},   {".dpx", KN_FILM_DPX},
               {".tif", KN_FILM_TIFF},   {".tiff", KN_FILM_TIFF}, {".png", KN_FILM_PNG}};

const char *kn_film_codec_name(kn_film_codec codec) {
    return codec < KN_FILM_CODEC_COUNT ? codecs[codec].name : "unknown";
}

bool kn_film_codec_parse(kn_film_codec *codec, const char *name) {
    for (int i = 0; i < KN_FILM_CODEC_COUNT; i++)
        if (strcmp(codecs[i].name, name) == 0) {
            *codec = (kn_film_codec)i;
            return true;
        }
    return false;
}

/* The least depth of the codec that loses nothing of `depth` bits, else its largest. */
static int fitting_depth(kn_film_codec codec, int chroma, bool alpha, bool rgb, int depth) {
    int best = 0;
    for (size_t i = 0; i < KN_COUNT(formats); i++) {
        if (formats[i].codec != codec || formats[i].chroma != chroma || formats[i].alpha != alpha ||
            formats[i].rgb != rgb)
            continue;
        int d = formats[i].depth;
        if (best < depth ? d > best : d >= depth && d < best) best = d;
    }
    return best;
}

bool kn_film_params_like(kn_film_params *params, const kn_film_info *info, const char *path, kn_error *error) {
    const char *dot = strrchr(path, '.');
    size_t kind = 0;
    while (dot && kind < KN_COUNT(endings) && strcasecmp(dot, endings[kind].extension) != 0) kind++;
    if (!dot || kind == KN_COUNT(endings))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: expected a name that ends in .mov, .mp4, .mkv, .exr, .dpx, .tif or .png", path);
    kn_film_codec codec = endings[kind].codec;
    if (codec == KN_FILM_H264 && info->depth > 8) codec = KN_FILM_H265;
    bool alpha = info->channels == 4 && codecs[codec].alpha,
         rgb = codecs[codec].pictures || (codec == KN_FILM_FFV1 && info->rgb);
    *params = (kn_film_params){.width = info->width,
                               .height = info->height,
                               .channels = info->channels,
                               .rate = info->rate,
                               .time_base = info->time_base,
                               .pixel_aspect = info->pixel_aspect,
                               .codec = codec,
                               .rgb = rgb && codec == KN_FILM_FFV1,
                               .color = info->color,
                               .quarter_turns = info->quarter_turns,
                               .mirrored = info->mirrored,
                               .interlaced = info->interlaced,
                               .top_first = info->top_first,
                               .timecode = info->timecode};
    params->chroma = rgb || alpha ? 444 : info->chroma;
    if (codec == KN_FILM_PRORES || codec == KN_FILM_DNXHR) params->chroma = alpha || info->chroma == 444 ? 444 : 422;
    if (codec == KN_FILM_FFV1 && !rgb) params->chroma = info->chroma;
    params->depth =
        fitting_depth(codec, params->chroma, alpha, rgb, info->floating && codec != KN_FILM_EXR ? 16 : info->depth);
    if (codec == KN_FILM_EXR && info->floating) params->depth = 32;
    /* A stream of YUV that was RGB needs a matrix; one of RGB has none. */
    if (!rgb && (info->rgb || params->color.matrix == 0))
        params->color.matrix = info->color.primaries == 9 ? 9 : 1, params->color.range = 1, params->color.chroma = 0;
    if (rgb && !info->rgb) params->color.matrix = 0, params->color.range = 2;
    return true;
}

static const char *muxer_of(const char *path, kn_film_codec codec) {
    const char *dot = strrchr(path, '.');
    if (dot && strcasecmp(dot, ".mkv") == 0) return "matroska";
    if (dot && strcasecmp(dot, ".mov") == 0) return "mov";
    if (dot && (strcasecmp(dot, ".mp4") == 0 || strcasecmp(dot, ".m4v") == 0))
        return codec == KN_FILM_H264 || codec == KN_FILM_H265 ? "mp4" : NULL;
    return NULL;
}

bool kn_film_setup_init(kn_film_setup *setup, const char *path, const kn_film_params *p, kn_error *error) {
    *setup = (kn_film_setup){.encoder = codecs[p->codec].encoder, .format = AV_PIX_FMT_NONE};
    const char *name = codecs[p->codec].name;
    if (!codecs[p->codec].pictures && !(setup->muxer = muxer_of(path, p->codec)))
        return kn_fail(error, KN_ERROR_INPUT, "%s: %s goes into a .mov or .mkv file%s", path, name,
                       p->codec == KN_FILM_H264 || p->codec == KN_FILM_H265 ? ", or .mp4" : "");
    setup->turns = setup->muxer && strcmp(setup->muxer, "matroska") != 0;
    bool rgb = codecs[p->codec].pictures || (p->rgb && p->codec == KN_FILM_FFV1), alpha = p->channels == 4;
    int depth = p->depth ? p->depth : codecs[p->codec].depth, chroma = rgb         ? 444
                                                                       : p->chroma ? p->chroma
                                                                                   : codecs[p->codec].chroma;
    if (p->codec == KN_FILM_PRORES && alpha) chroma = 444;
    for (size_t i = 0; i < KN_COUNT(formats); i++)
        if (formats[i].codec == p->codec && formats[i].depth == depth && formats[i].chroma == chroma &&
            formats[i].alpha == alpha && formats[i].rgb == rgb)
            setup->format = formats[i].format;
    if (setup->format == AV_PIX_FMT_NONE)
        return kn_fail(error, KN_ERROR_UNSUPPORTED, "%s: %s does not store %d bits%s%s", path, name, depth,
                       rgb             ? " of RGB"
                       : chroma == 420 ? " of 4:2:0"
                       : chroma == 422 ? " of 4:2:2"
                                       : " of 4:4:4",
                       alpha ? " with alpha" : "");
    return true;
}

/* Sets an option that the encoder must know. */
static bool set(AVCodecContext *codec, const char *key, const char *value, kn_error *error) {
    int code = av_opt_set(codec->priv_data, key, value, 0);
    return code >= 0 ||
           kn_fail(error, KN_ERROR_UNSUPPORTED, "this FFmpeg's %s does not take %s=%s", codec->codec->name, key, value);
}

static bool set_x264(AVCodecContext *codec, const kn_film_params *p, const char *quality, kn_error *error) {
    char options[160];
    /* x264 164 reads memory that it did not write in its AVX-512 code, so that runs differ. */
    snprintf(options, sizeof options, "threads=1:lookahead-threads=1:rc-lookahead=16%s%s",
             av_get_cpu_flags() & AV_CPU_FLAG_AVX512 ? ":asm=avx2" : "",
             p->interlaced ? p->top_first ? ":tff=1" : ":bff=1" : "");
    return set(codec, "crf", quality, error) && set(codec, "preset", "medium", error) &&
           set(codec, "x264-params", options, error);
}

bool kn_film_codec_options(AVCodecContext *codec, const kn_film_params *p, kn_error *error) {
    char quality[16];
    snprintf(quality, sizeof quality, "%g", p->quality > 0 ? p->quality : 18);
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(codec->pix_fmt);
    switch (p->codec) {
    case KN_FILM_H264: return set_x264(codec, p, quality, error);
    case KN_FILM_H265:
        codec->codec_tag = MKTAG('h', 'v', 'c', '1');
        return set(codec, "crf", quality, error) && set(codec, "preset", "medium", error) &&
               set(codec, "x265-params", "log-level=none:pools=none:frame-threads=1:wpp=0:rc-lookahead=16", error);
    case KN_FILM_PRORES:
        if (p->interlaced) codec->flags |= AV_CODEC_FLAG_INTERLACED_DCT;
        return set(codec, "profile", d->log2_chroma_w ? "hq" : "4444", error) && set(codec, "vendor", "apl0", error) &&
               (!(d->flags & AV_PIX_FMT_FLAG_ALPHA) || set(codec, "alpha_bits", "16", error));
    case KN_FILM_DNXHR:
        return set(codec, "profile",
                   !d->log2_chroma_w      ? "dnxhr_444"
                   : d->comp[0].depth > 8 ? "dnxhr_hqx"
                                          : "dnxhr_hq",
                   error);
    case KN_FILM_FFV1:
        codec->level = 3;
        codec->gop_size = 1;
        codec->slices = 4;
        return set(codec, "slicecrc", "1", error);
    case KN_FILM_EXR:
        return set(codec, "format", p->depth == 32 ? "float" : "half", error) &&
               set(codec, "compression", "zip16", error);
    case KN_FILM_TIFF: return set(codec, "compression_algo", "deflate", error);
    default: return true;
    }
}

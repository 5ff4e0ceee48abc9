#include "diffusion/networks/layers.h"

bool kn_resnet_load(kn_layers *layers, kn_resnet *resnet, const char *prefix, int in, int out, int time_channels,
                    int groups, double epsilon, kn_error *error) {
    resnet->groups = groups;
    resnet->epsilon = (float)epsilon;
    return kn_load_norm(layers, &resnet->norm1, prefix, ".norm1", in, error) &&
           (resnet->conv1 = kn_load_conv(layers, prefix, ".conv1", in, out, 3, true, error)) &&
           (time_channels == 0 ||
            (resnet->time = kn_load_linear(layers, prefix, ".time_emb_proj", time_channels, out, true, error))) &&
           kn_load_norm(layers, &resnet->norm2, prefix, ".norm2", out, error) &&
           (resnet->conv2 = kn_load_conv(layers, prefix, ".conv2", out, out, 3, true, error)) &&
           (in == out || (resnet->shortcut = kn_load_conv(layers, prefix, ".conv_shortcut", in, out, 1, true, error)));
}

bool kn_resnet_forward(kn_graph *graph, kn_tensor *out, const kn_resnet *resnet, const kn_tensor *in,
                       const kn_tensor *time, kn_error *error) {
    kn_tensor normed = {0}, hidden = {0}, shift = {0}, shortcut = {0};
    if (resnet->time && time && !kn_op_linear(graph, &shift, time, resnet->time, KN_ACTIVATION_NONE, NULL, error))
        return false;
    if (!kn_op_group_norm(graph, &normed, in, resnet->norm1.gamma, resnet->norm1.beta, resnet->groups, resnet->epsilon,
                          KN_ACTIVATION_SILU, error))
        return false;
    kn_conv_params first = {.stride = 1, .pad = 1, .pad_end = 1, .broadcast = shift.c ? &shift : NULL};
    if (!kn_op_conv(graph, &hidden, &normed, resnet->conv1, &first, error)) return false;
    kn_graph_release(graph, &normed);
    if (shift.c) kn_graph_release(graph, &shift);
    if (!kn_op_group_norm(graph, &normed, &hidden, resnet->norm2.gamma, resnet->norm2.beta, resnet->groups,
                          resnet->epsilon, KN_ACTIVATION_SILU, error))
        return false;
    kn_graph_release(graph, &hidden);
    if (resnet->shortcut && !kn_op_linear(graph, &shortcut, in, resnet->shortcut, KN_ACTIVATION_NONE, NULL, error))
        return false;
    kn_conv_params second = {.stride = 1, .pad = 1, .pad_end = 1, .residual = resnet->shortcut ? &shortcut : in};
    if (!kn_op_conv(graph, out, &normed, resnet->conv2, &second, error)) return false;
    kn_graph_release(graph, &normed);
    if (resnet->shortcut) kn_graph_release(graph, &shortcut);
    return true;
}

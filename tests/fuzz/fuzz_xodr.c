/* Reads any bytes as an OpenDRIVE file and looks at every road that was accepted. */
#include "scene/road/road_read.h"
#include "scene/road/road_walk.h"
#include "scene/road/signals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool fine) {
    if (!fine) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_road_network network;
    kn_report report = {0};
    kn_error error = {0};
    if (kn_road_network_parse(&network, "fuzz.xodr", data, size, &report, &error)) {
        for (size_t r = 0; r < network.road_count && r < 20; r++) {
            const kn_road *road = &network.roads[r];
            for (int i = 0; i <= 4; i++) {
                double s = road->length * i / 4;
                const kn_lane_section *section = kn_road_section(road, s);
                kn_road_frame frame = kn_road_at(road, s, 1);
                check(section != NULL);
                for (size_t k = 0; k < section->lane_count && k < 8; k++) {
                    kn_lane_position position = {(int)r, section->lanes[k].id, s, 0};
                    kn_lane_pose(&network, &position);
                    kn_lane_advance(&network, &position, 50, (int)k % 3 - 1);
                    check(position.road >= 0 && (size_t)position.road < network.road_count);
                    check(position.s >= 0 && position.s <= network.roads[position.road].length);
                }
                if (i == 2 && r < 3) kn_road_locate(&network, frame.position.x, frame.position.y, 5);
            }
        }
        if (network.road_count < 50 && kn_signals_plan(&network, 1, NULL, 0, 10, true, &error))
            for (size_t i = 0; i < network.signals->count && i < 20; i++)
                check(kn_signal_at(network.signals, i, 12.5) < KN_SIGNAL_STATES);
        kn_road_network_finish(&network);
    } else {
        check(error.kind != KN_ERROR_NONE && error.message[0]);
    }
    kn_report_finish(&report);
    return 0;
}

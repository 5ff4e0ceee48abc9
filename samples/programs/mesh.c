/* Cameras and a camera file of an orbit, read by the library.
 *
 *     cc mesh.c $(pkg-config --cflags --libs kinora) -o mesh
 *     ./mesh /usr/share/kinora/samples/mesh/transforms.json */
#include "kinora/mesh.h"

#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: mesh CAMERAS\n"), 2;
    kn_view_list list;
    kn_error error;
    if (!kn_view_list_read(&list, argv[1], &error)) return fprintf(stderr, "%s\n", error.message), 2;
    for (size_t i = 0; i < list.count; i++) {
        const kn_camera *camera = &list.items[i].camera;
        printf("%s: focal length %.1f px, at %.2f %.2f %.2f\n", list.items[i].file, camera->k[0][0],
               camera->translation[0], camera->translation[1], camera->translation[2]);
    }
    kn_view_list_finish(&list);
    return 0;
}

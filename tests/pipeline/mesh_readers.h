/* Readers of the written mesh files for the tests, apart from the writers' code: every one gives metres, +Z up, +X
 * forward. */
#ifndef KN_TESTS_MESH_READERS_H
#define KN_TESTS_MESH_READERS_H

#include "mesh/views/mesh.h"

/* Reads folder/<stem>.<extension> by its extension and asserts on what its specification asks for. Vertices that a
 * format has to repeat (STL, GLB) are joined where their bits are equal. Freed with kn_tris_finish. */
kn_tris read_mesh_file(const char *path);

/* Bytes of an archive's entry, zero-terminated, or NULL; freed with kn_free. *begin: where its data starts in the
 * file. */
char *read_zip_entry(const char *path, const char *name, size_t *size, size_t *begin);

#endif

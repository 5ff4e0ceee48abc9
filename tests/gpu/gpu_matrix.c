/* Which of a device's matrix products is chosen, from lists as drivers give them. */
#include <criterion/criterion.h>

#include "gpu/matrix.h"

enum {
    F16 = VK_COMPONENT_TYPE_FLOAT16_KHR,
    F32 = VK_COMPONENT_TYPE_FLOAT32_KHR,
    INT8 = 3,
    INT32 = 5,
    WORKGROUP = 2,
    SUBGROUP = VK_SCOPE_SUBGROUP_KHR
};

static VkCooperativeMatrixPropertiesKHR offer(uint32_t m, uint32_t n, uint32_t k, int in, int sum, int scope) {
    return (VkCooperativeMatrixPropertiesKHR){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR,
                                              .MSize = m,
                                              .NSize = n,
                                              .KSize = k,
                                              .AType = (VkComponentTypeKHR)in,
                                              .BType = (VkComponentTypeKHR)in,
                                              .CType = (VkComponentTypeKHR)sum,
                                              .ResultType = (VkComponentTypeKHR)sum,
                                              .scope = (VkScopeKHR)scope};
}

static void expect(const VkCooperativeMatrixPropertiesKHR *offers, uint32_t count, uint32_t m, uint32_t n, uint32_t k) {
    kn_gpu_info info = {0};
    kn_vk_matrix_choose(offers, count, &info);
    cr_assert(info.matrix_m == m && info.matrix_n == n && info.matrix_k == k,
              "chose %u x %u x %u, expected %u x %u x %u", info.matrix_m, info.matrix_n, info.matrix_k, m, n, k);
}

Test(gpu_matrix, the_largest_with_half_inputs_and_single_sums) {
    const VkCooperativeMatrixPropertiesKHR nvidia[] = {
        offer(16, 16, 16, F16, F16, SUBGROUP), offer(16, 8, 8, F16, F32, SUBGROUP),
        offer(16, 16, 16, F16, F32, SUBGROUP), offer(16, 8, 16, F16, F32, SUBGROUP),
        offer(16, 16, 32, INT8, INT32, SUBGROUP)};
    const VkCooperativeMatrixPropertiesKHR intel[] = {offer(8, 16, 16, F16, F32, SUBGROUP),
                                                      offer(8, 16, 32, INT8, INT32, SUBGROUP)};
    expect(nvidia, 5, 16, 16, 16);
    expect(intel, 2, 8, 16, 16);
}

Test(gpu_matrix, nothing_that_fits) {
    VkCooperativeMatrixPropertiesKHR others[] = {
        offer(16, 16, 16, F16, F16, SUBGROUP),    offer(16, 16, 16, F32, F32, SUBGROUP),
        offer(16, 16, 16, INT8, INT32, SUBGROUP), offer(64, 64, 16, F16, F32, WORKGROUP),
        offer(16, 16, 16, F16, F32, SUBGROUP),    offer(16, 16, 16, F16, F32, SUBGROUP)};
    others[4].saturatingAccumulation = VK_TRUE;
    others[5].BType = VK_COMPONENT_TYPE_FLOAT32_KHR;
    expect(others, 6, 0, 0, 0);
    expect(others, 0, 0, 0, 0);
}

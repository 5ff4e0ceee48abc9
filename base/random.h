/* Random numbers that match PyTorch's generators, and small deterministic ones for choices. Internal. */
#ifndef KN_BASE_RANDOM_H
#define KN_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Mersenne Twister 19937 (Matsumoto & Nishimura 1998), seeded as torch.manual_seed does on the CPU. */
typedef struct kn_mt19937 {
    uint32_t state[624];
    int index;
} kn_mt19937;
void kn_mt19937_init(kn_mt19937 *rng, uint64_t seed);
uint32_t kn_mt19937_next(kn_mt19937 *rng);

/* Fills out[count] with the values of torch.randn(count, generator=torch.Generator("cpu").manual_seed(seed)), fp32:
 * below 16 values PyTorch's scalar Box-Muller path, from 16 on its vectorised one. */
void kn_randn_torch_cpu(kn_mt19937 *rng, float *out, size_t count);

/* Fills out[count] with torch.randn(count, device="cuda") for a generator at `seed` whose counter stands at `offset`
 * (Philox4x32-10, Salmon et al. 2011; element i is the first normal of the block at counter (offset, i)). */
void kn_randn_torch_cuda(uint64_t seed, uint64_t offset, float *out, size_t count);

/* xorshift-style stream for choices in world building; any seed is fine. */
typedef struct kn_rng {
    uint64_t state;
} kn_rng;
void kn_rng_init(kn_rng *rng, uint64_t seed);
uint64_t kn_rng_next(kn_rng *rng);
double kn_rng_uniform(kn_rng *rng, double low, double high); /* [low, high) */
int kn_rng_int(kn_rng *rng, int low, int high);              /* low..high, both included */
double kn_rng_normal(kn_rng *rng);                           /* mean 0, variance 1 */

#endif

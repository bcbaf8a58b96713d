/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 against NIST's example vectors, and against Python's hashlib where padding changes its length. */
#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sha256_kernel.h"
#include "oracle.h"
#include "suites.h"

/* Messages of NIST's examples: text repeated `times` times. */
static const struct {
    const char *text;
    size_t times;
    const char *hex;
} vectors[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
     "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    /* /usr/bin/python3 -c "import hashlib; print(hashlib.sha256(b'a' * 55).hexdigest())", and so on */
    {"a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
    {"a", 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
    {"a", 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
    {"a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
    {"a", 65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0"},
    {"a", 119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb"},
    {"a", 120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c"},
};

START_TEST(digests_are_those_of_nist) {
    dp_sha256 sha;
    char hex[DP_SHA256_HEX];
    dp_sha256_init(&sha);
    for (size_t i = 0; i < vectors[_i].times; i++)
        dp_sha256_update(&sha, vectors[_i].text, strlen(vectors[_i].text));
    dp_sha256_hex(&sha, hex);
    ck_assert_str_eq(hex, vectors[_i].hex);
}
END_TEST

/* Of 0 to 40 blocks at a time; NIST's vectors above hold the fastest. */
START_TEST(every_kernel_gives_the_same) {
    uint8_t blocks[64 * 40];
    uint64_t state = 9;
    for (size_t i = 0; i < sizeof blocks; i++) blocks[i] = (uint8_t)oracle_below(&state, 256);
    const dp_sha256_kernel *plain = dp_sha256_kernels;
    while (plain[1].name) plain++;
    for (const dp_sha256_kernel *kernel = dp_sha256_kernels; kernel != plain; kernel++) {
        uint32_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        for (size_t count = 0; kernel->runs_here() && count <= 40; count++) {
            kernel->compress(a, blocks, count);
            plain->compress(b, blocks, count);
            ck_assert_msg(memcmp(a, b, sizeof a) == 0, "%s: %zu blocks", kernel->name, count);
        }
    }
}
END_TEST

START_TEST(a_message_may_come_in_any_pieces) {
    uint8_t message[400];
    for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)(i * 37);
    for (size_t length = 0; length <= sizeof message; length += 7)
        for (size_t piece = 1; piece <= 130; piece += 3) {
            char whole[DP_SHA256_HEX], pieces[DP_SHA256_HEX];
            dp_sha256 sha;
            dp_sha256_init(&sha);
            dp_sha256_update(&sha, message, length);
            dp_sha256_hex(&sha, whole);
            dp_sha256_init(&sha);
            for (size_t at = 0; at < length; at += piece)
                dp_sha256_update(&sha, message + at, length - at < piece ? length - at : piece);
            dp_sha256_hex(&sha, pieces);
            ck_assert_str_eq(whole, pieces);
        }
}
END_TEST

START_TEST(a_file_has_the_digest_of_its_content) {
    char path[] = "/tmp/test_sha256_XXXXXX", hex[DP_SHA256_HEX];
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    FILE *file = fdopen(descriptor, "wb");
    ck_assert_ptr_nonnull(file);
    ck_dp_ok(dp_sha256_file(path, hex, &err));
    ck_assert_str_eq(hex, vectors[0].hex);
    for (size_t i = 0; i < 1000000; i++) fputc('a', file);
    ck_assert_int_eq(fclose(file), 0);
    ck_dp_ok(dp_sha256_file(path, hex, &err));
    ck_assert_str_eq(hex, vectors[4].hex);
    unlink(path);
}
END_TEST

START_TEST(files_that_cannot_be_read_are_named) {
    char hex[DP_SHA256_HEX];
    ck_dp_fails(dp_sha256_file("no/such/file.npz", hex, &err), DP_EIO, "no/such/file.npz");
    ck_assert_str_eq(hex, "");
    ck_dp_fails(dp_sha256_file("/", hex, &err), DP_EIO, "/: cannot be read");
    ck_assert_str_eq(hex, "");
}
END_TEST

Suite *test_sha256_suite(void) {
    Suite *suite = suite_create("sha256");
    TCase *all = tcase_create("sha256");
    tcase_add_loop_test(all, digests_are_those_of_nist, 0, sizeof vectors / sizeof *vectors);
    tcase_add_test(all, every_kernel_gives_the_same);
    tcase_add_test(all, a_message_may_come_in_any_pieces);
    tcase_add_test(all, a_file_has_the_digest_of_its_content);
    tcase_add_test(all, files_that_cannot_be_read_are_named);
    suite_add_tcase(suite, all);
    return suite;
}

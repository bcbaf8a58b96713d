/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "site_rig.h"

#include <check.h>
#include <string.h>

#include "suites.h"

void site_rig_open(site_rig *r, const char *name, int64_t samples) {
    r->name = name;
    r->samples = samples;
    r->c.port = &r->port.port;
    r->port.port.samples = samples;
    r->port.port.norms = r->port.port.weight_grads = true;
    ck_dp_ok(op_run_open(&r->run, &r->c, &err));
    ck_dp_ok(r->run.row->site(&r->run.args, 0, &r->site, &err));
    r->outputs = dp_tensor_count(&r->run.out[0]);
    ck_assert_int_gt(r->site.channels, 0);
    oracle_port_open(&r->port, samples, r->outputs / samples, &r->site);
}

void site_rig_close(site_rig *r) {
    oracle_port_close(&r->port);
    op_run_close(&r->run);
}

static void check_shown(const site_rig *r) {
    ck_assert_msg(!r->port.outside, "%s: a block leaves its sample", r->name);
    for (int64_t i = 0; i < r->outputs; i++)
        ck_assert_msg(r->port.seen[i] == 1, "%s: output %d shown %d times", r->name, (int)i,
                      r->port.seen[i]);
}

void site_rig_forward(site_rig *r) {
    r->run.args.grad_in = NULL;
    r->run.args.grad_out = NULL;
    oracle_port_clear(&r->port);
    ck_assert_msg(op_run_forward(&r->run), "%s: %s", r->name, r->run.why);
    check_shown(r);
}

void site_rig_adjoint(site_rig *r) {
    r->run.args.grad_in = r->run.grad_in_list;
    r->run.args.grad_out = r->run.grad_out_list;
    oracle_port_clear(&r->port);
    ck_assert_msg(op_run_adjoint(&r->run), "%s: %s", r->name, r->run.why);
    check_shown(r);
}

void site_rig_check_value(const site_rig *r, int64_t i, oracle_sum want) {
    double is = (double)r->port.value[i];
    ck_assert_msg(oracle_near(is, want), "%s: output %d is %g, not %g", r->name, (int)i, is,
                  want.value);
}

void site_rig_check_norm(const site_rig *r, int64_t i, oracle_sum want) {
    double told = (double)r->port.norm2[i];
    ck_assert_msg(oracle_near(told, want), "%s: output %d has a squared norm of %g, told %g",
                  r->name, (int)i, want.value, told);
}

void site_rig_check_outputs(const site_rig *r, float add) {
    const float *y = r->run.out[0].data;
    for (int64_t i = 0; i < r->outputs; i++)
        ck_assert_msg(y[i] == r->port.value[i] + add, "%s: output %d is %g, not %g + %g", r->name,
                      (int)i, (double)y[i], (double)r->port.value[i], (double)add);
}

void site_rig_check_weights(const site_rig *r, weight_norm *want, const void *self) {
    for (int64_t s = 0; s < r->samples; s++)
        for (int64_t c = 0; c < r->site.channels; c++) {
            oracle_sum norm = want(self, s, c);
            double told = r->port.weight_grad2[s * r->site.channels + c];
            ck_assert_int_eq(r->port.weight_told[s * r->site.channels + c], 1);
            ck_assert_msg(oracle_near(told, norm), "%s: sample %d, channel %d: %g, not %g", r->name,
                          (int)s, (int)c, told, norm.value);
        }
}

void site_rig_check_refusal(site_rig *r, int64_t samples, const char *part) {
    dp_site site = {0};
    r->port.port.samples = samples;
    ck_dp_fails(r->run.row->site(&r->run.args, 0, &site, &err), DP_EUNSUPPORTED, part);
    r->port.port.samples = r->samples;
}

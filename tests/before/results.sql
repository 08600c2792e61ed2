PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE setups (
    setup TEXT PRIMARY KEY,      -- key of everything but the axes of a sweep
    name TEXT NOT NULL,
    content TEXT NOT NULL,       -- JSON: epochs, preset, set, method_settings, evaluate
    updated TEXT NOT NULL
);
INSERT INTO setups VALUES('8f1b37b3df88','before','{"epochs": 1, "preset": null, "set": {"net.hidden": 4}, "method_settings": {}, "evaluate": {"k": 100, "seed": 0}}','2026-11-28T16:34:30Z');
CREATE TABLE jobs (
    key TEXT PRIMARY KEY,        -- hash of run config and scoring: nothing counts twice
    folder TEXT NOT NULL,        -- run folder, below runs/
    dataset TEXT NOT NULL,
    method TEXT NOT NULL,
    latent_dim INTEGER NOT NULL,
    split INTEGER NOT NULL,
    restart INTEGER NOT NULL,
    cost_key TEXT NOT NULL,
    epochs_wanted INTEGER NOT NULL,
    k INTEGER NOT NULL,
    config TEXT NOT NULL,        -- JSON of the run config
    status TEXT NOT NULL CHECK (status IN ('planned', 'running', 'done', 'failed')),
    message TEXT,                -- why it failed, one line
    started TEXT,
    finished TEXT,
    result TEXT                  -- JSON of what the job measured
);
INSERT INTO jobs VALUES('a9a5bdcaaac12da34eb56819aea3a9618a1303573c97bf8383daf01046d81b38','digits-vae-d2-split0-r0-bd96d5f0a8','digits','vae',2,0,0,'380b6e01ba47817f376865e20a0ea9fbf483d0e049d1b70d512e06fdb1468cef',1,100,'{"method": "vae", "data": {"name": "digits", "size": null, "validation_fraction": 0.1, "split_seed": 0}, "latent_dim": 2, "net": {"kind": "fc", "hidden": 4, "depth": 2}, "decoder": null, "freeze_decoder": false, "encoder": {"kind": "gaussian"}, "refiner": {"kind": "none"}, "objective": {"kind": "elbo", "gradient": "standard"}, "regulariser": {"kind": "none"}, "likelihood": {"kind": "gaussian", "sigma_x": 0.2, "learn_sigma_x": true}, "train": {"epochs": 1, "batch_size": 128, "lr": 0.0005, "samples": 1, "patience": 0, "kl_warmup": 0, "kl_start": 0.1, "keep_every": 0, "bfloat16": false, "compile": false}, "seed": 0}','done',NULL,'2026-11-28T16:34:31Z','2026-11-28T16:34:36Z','{"validation_elbo": -212.25098037719727, "test_iwae": -185.13815140657792, "test_iwae_se": 1.5253277401471448, "test_elbo": -211.6030901598067, "test_elbo_se": 1.559461989175174, "test_images": 359, "epochs": 1, "best_epoch": 1, "parameters": 653, "train_seconds": 0.02126634300020669, "score_seconds": 0.033513227000185, "device": "cpu", "note": null, "versions": {"gpvae_core": "0.1.0", "torch": "2.13.0+cpu", "python": "3.11.7"}, "validation_log_px": null, "test_log_px": null, "test_kl": null, "test_kl_se": null, "decoder_passes": 1.0, "encoder_passes": 1.0}');
INSERT INTO jobs VALUES('69d44ab3b8afd12beb922648e459525fd7774af2ddc8f4ccd7994f5b4270328c','digits-gp-d2-split0-r0-712d312c03','digits','gp',2,0,0,'f2aa71133dc9c2350bb005a0a1124716231f436c92338e2119888d6be2caf959',1,100,'{"method": "gp", "data": {"name": "digits", "size": null, "validation_fraction": 0.1, "split_seed": 0}, "latent_dim": 2, "net": {"kind": "fc", "hidden": 4, "depth": 2}, "decoder": null, "freeze_decoder": false, "encoder": {"kind": "gp", "expected_kl": "monte_carlo", "kl_samples": 1, "start_scale": 0.05}, "refiner": {"kind": "none"}, "objective": {"kind": "elbo", "gradient": "standard"}, "regulariser": {"kind": "none"}, "likelihood": {"kind": "gaussian", "sigma_x": 0.2, "learn_sigma_x": true}, "train": {"epochs": 1, "batch_size": 128, "lr": 0.0005, "samples": 1, "patience": 0, "kl_warmup": 0, "kl_start": 0.1, "keep_every": 0, "bfloat16": false, "compile": false}, "seed": 0}','done',NULL,'2026-11-28T16:34:36Z','2026-11-28T16:34:36Z','{"validation_elbo": -212.125622537401, "test_iwae": -184.9978435777822, "test_iwae_se": 1.5248183561446358, "test_elbo": -211.46399180654032, "test_elbo_se": 1.5592701698700622, "test_images": 359, "epochs": 1, "best_epoch": 1, "parameters": 1309, "train_seconds": 0.0802883730002577, "score_seconds": 0.038022351000108756, "device": "cpu", "note": null, "versions": {"gpvae_core": "0.1.0", "torch": "2.13.0+cpu", "python": "3.11.7"}, "validation_log_px": null, "test_log_px": null, "test_kl": null, "test_kl_se": null, "decoder_passes": 1.0, "encoder_passes": 1.0}');
CREATE TABLE members (
    setup TEXT NOT NULL REFERENCES setups (setup),
    key TEXT NOT NULL REFERENCES jobs (key),
    PRIMARY KEY (setup, key)
);
INSERT INTO members VALUES('8f1b37b3df88','a9a5bdcaaac12da34eb56819aea3a9618a1303573c97bf8383daf01046d81b38');
INSERT INTO members VALUES('8f1b37b3df88','69d44ab3b8afd12beb922648e459525fd7774af2ddc8f4ccd7994f5b4270328c');
CREATE TABLE costs (
    cost_key TEXT PRIMARY KEY,
    epoch_seconds REAL NOT NULL,
    score_seconds REAL NOT NULL,
    measured TEXT NOT NULL
);
COMMIT;
PRAGMA application_id=1735423589;
PRAGMA user_version=1;

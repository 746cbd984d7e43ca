BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'8dlz0oly');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,15.74,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,31.48,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,3,47.22,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,3,1,25.37,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,3,2,50.73,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,3,3,76.1,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,4,1,15.04,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(8,4,2,30.07,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'base_lr',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.0001, 0.01, 0.0003, 0.001, 0.002]}}');
INSERT INTO "trial_params" VALUES(2,2,'base_lr',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.0001, 0.01, 0.0003, 0.001, 0.002]}}');
INSERT INTO "trial_params" VALUES(3,3,'base_lr',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.0001, 0.01, 0.0003, 0.001, 0.002]}}');
INSERT INTO "trial_params" VALUES(4,4,'base_lr',3.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.0001, 0.01, 0.0003, 0.001, 0.002]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'index','0');
INSERT INTO "trial_user_attributes" VALUES(2,1,'trial','{"name": "trial-0000", "params": {"base_lr": 0.0001, "weight_decay": 0.0005}, "agent": "0-07904918abb3.lock", "host": "workstation"}');
INSERT INTO "trial_user_attributes" VALUES(3,1,'settled','true');
INSERT INTO "trial_user_attributes" VALUES(4,2,'index','1');
INSERT INTO "trial_user_attributes" VALUES(5,2,'trial','{"name": "trial-0001", "params": {"base_lr": 0.01, "weight_decay": 0.0005}, "agent": "0-07904918abb3.lock", "host": "workstation"}');
INSERT INTO "trial_user_attributes" VALUES(6,2,'settled','true');
INSERT INTO "trial_user_attributes" VALUES(7,2,'end','{"state": "failed", "value": null}');
INSERT INTO "trial_user_attributes" VALUES(8,3,'index','2');
INSERT INTO "trial_user_attributes" VALUES(9,3,'trial','{"name": "trial-0002", "params": {"base_lr": 0.0003, "weight_decay": 0.0005}, "agent": "0-07904918abb3.lock", "host": "workstation"}');
INSERT INTO "trial_user_attributes" VALUES(10,3,'settled','true');
INSERT INTO "trial_user_attributes" VALUES(11,4,'index','3');
INSERT INTO "trial_user_attributes" VALUES(12,4,'trial','{"name": "trial-0003", "params": {"base_lr": 0.001, "weight_decay": 0.0005}, "agent": "0-07904918abb3.lock", "host": "workstation"}');
INSERT INTO "trial_user_attributes" VALUES(13,4,'settled','false');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,47.22,'FINITE');
INSERT INTO "trial_values" VALUES(2,3,0,76.1,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 23:24:38.547248','2026-11-30 23:24:41.181793');
INSERT INTO "trials" VALUES(2,1,1,'FAIL','2026-11-30 23:24:41.245621','2026-11-30 23:24:41.405470');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-30 23:24:41.435051','2026-11-30 23:24:44.059336');
INSERT INTO "trials" VALUES(4,3,1,'FAIL','2026-11-30 23:24:44.123915','2026-11-30 23:24:46.433581');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;

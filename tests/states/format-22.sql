-- A state that the program of 30 November 2026 has left, in format 22. Tests put their folder in place of {folder}.
CREATE TABLE runs (
    id text primary key, job text not null, directory text not null, started text not null, ended text,
    digest text not null, agents integer not null, matched integer not null, assigned integer not null,
    summary text not null, result text, kind text not null, undoes text, number integer not null,
    server text not null
    , numbered bigint, who text, pilot integer);
INSERT INTO runs VALUES('run-1','job','{folder}/people.ldif','2026-12-01T16:14:06.037665+00:00','2026-12-01T16:14:06.069855+00:00','sha256:378a6debbc0ac83ec4f6e25e77ec1aef2c1a1da036673f1882aa5595ee6981e4',5,5,5,'{"agents":5,"matched":5,"unmatched":0,"ambiguous":0,"contested":0,"unassigned":0,"invalid":0,"stale":0,"unchanged":0,"update":5,"clear":0,"secret":5}','done','apply',NULL,1,'',NULL,NULL,0);
INSERT INTO runs VALUES('run-2','job','{folder}/people.ldif','2026-12-01T16:14:06.709913+00:00','2026-12-01T16:14:06.748719+00:00','sha256:55e63cd17f110837e0b8a41b6f655ea7307a62ca58683a303631cf82e79de1e3',4,4,4,'{"agents":4,"matched":4,"unmatched":0,"ambiguous":0,"contested":0,"unassigned":0,"invalid":0,"stale":1,"unchanged":3,"update":1,"clear":0,"secret":1}','done','apply',NULL,2,'',NULL,NULL,0);
INSERT INTO runs VALUES('run-3','job','{folder}/people.ldif','2026-12-01T16:14:08.028754+00:00','2026-12-01T16:14:08.121921+00:00','sha256:ab84910df9ee362f4b9c9a4adb9cac84d2f14f90dc331d40cd2c23c82b83a859',0,0,0,'{"agents":0,"matched":0,"unmatched":0,"ambiguous":0,"contested":0,"unassigned":0,"invalid":0,"stale":0,"unchanged":0,"update":1,"clear":0,"secret":1}','done','undo','run-2',3,'',NULL,NULL,0);
INSERT INTO runs VALUES('run-4','job','{folder}/people.ldif','2026-12-01T16:14:09.740071+00:00','2026-12-01T16:14:09.872532+00:00','sha256:55e63cd17f110837e0b8a41b6f655ea7307a62ca58683a303631cf82e79de1e3',4,4,4,'{"agents":4,"matched":4,"unmatched":0,"ambiguous":0,"contested":0,"unassigned":0,"invalid":0,"stale":1,"unchanged":3,"update":1,"clear":0,"secret":1}','done','apply',NULL,4,'',NULL,NULL,0);
CREATE TABLE approvals (
    run text not null, who text not null, fingerprint text not null, time text not null, primary key (run, who)
    );
INSERT INTO approvals VALUES('a-release','anna','SHA256:x','2026-11-29T12:00:00+00:00');
INSERT INTO approvals VALUES('run-1','berta','SHA256:y','2026-11-29T12:00:00+00:00');
CREATE TABLE attempts (
    id text primary key, job text not null, kind text not null, plan text, undoes text, started text not null,
    ended text not null, digest text not null, result text not null, why text not null, number integer not null
    );
INSERT INTO attempts VALUES('attempt-1','job','apply',NULL,NULL,'2026-12-01T16:14:10.582824+00:00','2026-12-01T16:14:10.654297+00:00','','failed','{folder}/agents.json: not JSON: cut off after byte 1',5);
CREATE TABLE chains (
    job text not null, sink text not null, seq bigint not null, digest text not null, under_way integer not null,
    primary key (job, sink)
    );
INSERT INTO chains VALUES('job','file',5,'abc',0);
CREATE TABLE clocks (
    directory text not null, job text not null, time text not null, boot text not null, up bigint not null,
    sure integer not null, primary key (directory, job)
    );
INSERT INTO clocks VALUES('{folder}/people.ldif','job','2026-12-01T16:14:09.910082+00:00','35572bb7-80c1-4d38-be43-077bcd8129c8',14974,1);
CREATE TABLE directories (identity text primary key, users integer not null);
CREATE TABLE documents (
    id text primary key, job text not null, kind text not null, digest text not null, created text not null,
    octets bytea not null
    );
CREATE TABLE drawn (
    job text not null, drawn_by text not null, plan text not null, primary key (job, drawn_by)
    );
INSERT INTO drawn VALUES('job','','{"plan":"saved-1","created":"2026-12-01T16:14:11+00:00","changes":[["00000000-0000-0000-0000-000000000002","sha256:2d03aef4ce0817bda896bbac6e98ae46bfce6d999c5a9641248e419dc41223b7"]],"problems":[["0ed88541e11d350bc6c6f4f5ec2bcedf","e75aac1fa96c9a989192f852e10d0b30"]]}');
CREATE TABLE excluded (
    directory text not null, job text not null, entry text not null, user_id text not null,
    primary key (directory, job, entry, user_id)
    );
INSERT INTO excluded VALUES('{folder}/people.ldif','job','account:user4','00000000-0000-0000-0000-000000000004');
CREATE TABLE holders (
    name text primary key, job text not null, host text not null, process integer not null, since text not null
    );
INSERT INTO holders VALUES('a lease','job','host',1,'2026-11-30T12:00:00+00:00');
CREATE TABLE holds (job text primary key, since text not null, why text not null);
INSERT INTO holds VALUES('held','2026-11-30T12:00:00+00:00','a reason');
CREATE TABLE journal (
    run text not null references runs, user_id text not null, user_name text not null, digest text not null,
    part text not null, agent text, rule integer, attributes text not null, outcome text, why text,
    server text not null, lost text, told_as bigint, noted text,
    primary key (run, user_id, digest, part)
    );
INSERT INTO journal VALUES('run-1','00000000-0000-0000-0000-000000000001','uid=user1,ou=people,dc=example,dc=org','sha256:27316f72b35c92d9835cd2df2d88596d4130d96be32e5ce25b9a149deb7d8dcc','','[1001,"user1"]',1,'[{"name":"objectClass","new":["cecAgent","SIPIdentity"]},{"name":"cecAccountCode","new":["user1"]},{"name":"employeeNumber","new":["1001"],"unique":true},{"name":"SIPIdentitySIPURI","new":["sip:7001@192.0.2.10:5060"],"pattern":"sip:*"},{"name":"SIPIdentityPassword","secret":"hmac-sha256:83609ff669a62c8e83e6b2e3ada4d3f1ded9cb1a123437fc7de5c4944e411fe9","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:06.045514+00:00');
INSERT INTO journal VALUES('run-1','00000000-0000-0000-0000-000000000002','uid=user2,ou=people,dc=example,dc=org','sha256:e35fab2f716f88206513817b5a0659e37c77dabc60e49f59e83849bd0d07de9e','','[1002,"user2"]',1,'[{"name":"objectClass","new":["cecAgent","SIPIdentity"]},{"name":"cecAccountCode","new":["user2"]},{"name":"employeeNumber","new":["1002"],"unique":true},{"name":"SIPIdentitySIPURI","new":["sip:7002@192.0.2.10:5060"],"pattern":"sip:*"},{"name":"SIPIdentityPassword","secret":"hmac-sha256:8f7048cf64b976a606643fdf5ff6154d4df1b0b10de219faf4ff8932e784230e","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:06.045514+00:00');
INSERT INTO journal VALUES('run-1','00000000-0000-0000-0000-000000000003','uid=user3,ou=people,dc=example,dc=org','sha256:67fa15f5232f0750376e206b06b7c39921c8ec240bf62e34dcbec33f2f38e736','','[1003,"user3"]',1,'[{"name":"objectClass","new":["cecAgent","SIPIdentity"]},{"name":"cecAccountCode","new":["user3"]},{"name":"employeeNumber","new":["1003"],"unique":true},{"name":"SIPIdentitySIPURI","new":["sip:7003@192.0.2.10:5060"],"pattern":"sip:*"},{"name":"SIPIdentityPassword","secret":"hmac-sha256:0b93cec908a5965b712ae8408ef52f0be608631a6dd411f123d93ff78722606f","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:06.045514+00:00');
INSERT INTO journal VALUES('run-1','00000000-0000-0000-0000-000000000004','uid=user4,ou=people,dc=example,dc=org','sha256:227ee354f62f8d31a05b76bb01f8560655c9e24c2399755f89e74c58f116816b','','[1004,"user4"]',1,'[{"name":"objectClass","new":["cecAgent","SIPIdentity"]},{"name":"cecAccountCode","new":["user4"]},{"name":"employeeNumber","new":["1004"],"unique":true},{"name":"SIPIdentitySIPURI","new":["sip:7004@192.0.2.10:5060"],"pattern":"sip:*"},{"name":"SIPIdentityPassword","secret":"hmac-sha256:cf5933b7a3156a89ace6d62073ebc77d2d288c81bda1dcae5a180590bc601ff2","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:06.045514+00:00');
INSERT INTO journal VALUES('run-1','00000000-0000-0000-0000-000000000005','uid=user5,ou=people,dc=example,dc=org','sha256:bff1325ac505a2d6973536a69964123b57675580261bec162666c87d294b28f5','','[1005,"user5"]',1,'[{"name":"objectClass","new":["cecAgent","SIPIdentity"]},{"name":"cecAccountCode","new":["user5"]},{"name":"employeeNumber","new":["1005"],"unique":true},{"name":"SIPIdentitySIPURI","new":["sip:7005@192.0.2.10:5060"],"pattern":"sip:*"},{"name":"SIPIdentityPassword","secret":"hmac-sha256:6e6f42ebc4f8b8105bf544e94150473c76ef376c429d6b19ea473541e810981d","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:06.045514+00:00');
INSERT INTO journal VALUES('run-2','00000000-0000-0000-0000-000000000001','uid=user1,ou=people,dc=example,dc=org','sha256:6de63d636e831dab78ec7e97e03a3aac1f6cdf5cdd1954c009317d2256c10eac','','[1011,"user1"]',1,'[{"name":"employeeNumber","old":["1001"],"new":["1011"],"unique":true},{"name":"SIPIdentityPassword","secret":"hmac-sha256:d7b92c3f2d1aa95626cb8bf1404ecde857910111b8df2e9cee16f3ae29737685","sealed":"z8dkU9nsOm07Q7gSDaY/8HAZfJICXOK5G5+9Xd4Onyckztfe6iCixiMN/Ar5SPd1TRS7","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:06.714482+00:00');
INSERT INTO journal VALUES('run-3','00000000-0000-0000-0000-000000000001','uid=user1,ou=people,dc=example,dc=org','sha256:bdef5f460f9234b0054ad65b0cba809f00a15c83243a3a4cd5c905b5ba964ee3','','[1011,"user1"]',1,'[{"name":"employeeNumber","old":["1011"],"new":["1001"],"unique":true},{"name":"SIPIdentityPassword","secret":"hmac-sha256:83609ff669a62c8e83e6b2e3ada4d3f1ded9cb1a123437fc7de5c4944e411fe9","sealed":"erexbok6N0noCEc69qeek5eulCrV0k/JyZaJfH/ZxK3G8CAYC69BZEhuyBCjzJfYMswSHRPBAA==","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:08.054045+00:00');
INSERT INTO journal VALUES('run-4','00000000-0000-0000-0000-000000000001','uid=user1,ou=people,dc=example,dc=org','sha256:6de63d636e831dab78ec7e97e03a3aac1f6cdf5cdd1954c009317d2256c10eac','','[1011,"user1"]',1,'[{"name":"employeeNumber","old":["1001"],"new":["1011"],"unique":true},{"name":"SIPIdentityPassword","secret":"hmac-sha256:d7b92c3f2d1aa95626cb8bf1404ecde857910111b8df2e9cee16f3ae29737685","sealed":"ia8tXzYCShJmmaJ3HOqsruHmdXJTsJ0mM5E0U3EXHmNCaM1Lss7CSctC4/TrnlNkLzXK","pattern":"*","key":"62ef0e5505fd4ab7b59a0bd76259dbea"}]','written','','',NULL,NULL,'2026-12-01T16:14:09.764288+00:00');
CREATE TABLE kept_writes (
    directory text not null, job text not null, user_id text not null, number integer not null,
    attributes text not null, primary key (directory, user_id, job, number)
    );
INSERT INTO kept_writes VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000001',1,'[{"name":"title","secret":"print"}]');
CREATE TABLE lapsed (
    directory text not null, job text not null, user_id text not null, primary key (directory, job, user_id)
    );
INSERT INTO lapsed VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000002');
CREATE TABLE meta (name text primary key, value text not null);
INSERT INTO meta VALUES('key of job','62ef0e5505fd4ab7b59a0bd76259dbea');
CREATE TABLE ownership (
    directory text not null, job text not null, user_id text not null, user_name text not null,
    attributes text not null, times integer not null, primary key (directory, user_id, job)
    );
INSERT INTO ownership VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000001','uid=user1,ou=people,dc=example,dc=org','{"objectClass":["run-1",["0db8e8af6b2f4e0c9f9f36fd92366c5e","547a5a767723f9dc0440112f5da414b6"],null,1,false,null],"cecAccountCode":["run-1",["de388f7154ffbedd42ad23c0c899e0b3"],null,1,false,null],"SIPIdentitySIPURI":["run-1",["338b50e7e9352d65c221f598ab423254"],null,1,false,"sip:*"],"employeeNumber":["run-4",["0edb3ca21a1dc5351b35575327e13599"],null,1,false,null],"SIPIdentityPassword":["run-4",[],"hmac-sha256:d7b92c3f2d1aa95626cb8bf1404ecde857910111b8df2e9cee16f3ae29737685",1,false,"*"]}',1);
INSERT INTO ownership VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000002','uid=user2,ou=people,dc=example,dc=org','{"objectClass":["run-1",["0db8e8af6b2f4e0c9f9f36fd92366c5e","547a5a767723f9dc0440112f5da414b6"],null,1,false,null],"cecAccountCode":["run-1",["e29eefe2de2eb71149e0947fe2738b30"],null,1,false,null],"employeeNumber":["run-1",["ccd62f11f699b08bba9af9983cff41ba"],null,1,false,null],"SIPIdentitySIPURI":["run-1",["275c1f65012b465a117a4bb93af4123b"],null,1,false,"sip:*"],"SIPIdentityPassword":["run-1",[],"hmac-sha256:8f7048cf64b976a606643fdf5ff6154d4df1b0b10de219faf4ff8932e784230e",1,false,"*"]}',1);
INSERT INTO ownership VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000003','uid=user3,ou=people,dc=example,dc=org','{"objectClass":["run-1",["0db8e8af6b2f4e0c9f9f36fd92366c5e","547a5a767723f9dc0440112f5da414b6"],null,1,false,null],"cecAccountCode":["run-1",["171514edb41528c20ea9e992dd9f5f94"],null,1,false,null],"employeeNumber":["run-1",["eb725fe094696feeaf728e3648f554b5"],null,1,false,null],"SIPIdentitySIPURI":["run-1",["a42bef1368662857eb0b18068e35eee7"],null,1,false,"sip:*"],"SIPIdentityPassword":["run-1",[],"hmac-sha256:0b93cec908a5965b712ae8408ef52f0be608631a6dd411f123d93ff78722606f",1,false,"*"]}',1);
INSERT INTO ownership VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000004','uid=user4,ou=people,dc=example,dc=org','{"objectClass":["run-1",["0db8e8af6b2f4e0c9f9f36fd92366c5e","547a5a767723f9dc0440112f5da414b6"],null,1,false,null],"cecAccountCode":["run-1",["b4fe4951a91d411d31360f040f412ba7"],null,1,false,null],"employeeNumber":["run-1",["f74ba7240de5ae1a3bdde1ee2d66f1e9"],null,1,false,null],"SIPIdentitySIPURI":["run-1",["f4b449cebbc8343d914966936d564d58"],null,1,false,"sip:*"],"SIPIdentityPassword":["run-1",[],"hmac-sha256:cf5933b7a3156a89ace6d62073ebc77d2d288c81bda1dcae5a180590bc601ff2",1,false,"*"]}',1);
INSERT INTO ownership VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000005','uid=user5,ou=people,dc=example,dc=org','{"objectClass":["run-1",["0db8e8af6b2f4e0c9f9f36fd92366c5e","547a5a767723f9dc0440112f5da414b6"],null,1,false,null],"cecAccountCode":["run-1",["66dc7c9b97d7549bcb9eb4178c6d188f"],null,1,false,null],"employeeNumber":["run-1",["231da357e005127d147a82c7fc25e98b"],null,1,false,null],"SIPIdentitySIPURI":["run-1",["f89bdf565eb8ed21fd449d97cf7c7bd7"],null,1,false,"sip:*"],"SIPIdentityPassword":["run-1",[],"hmac-sha256:6e6f42ebc4f8b8105bf544e94150473c76ef376c429d6b19ea473541e810981d",1,false,"*"]}',1);
CREATE TABLE plans (
    id text primary key, job text not null, directory text not null, digest text not null, seal text not null
    , saved text, users text, undoes text, file text);
INSERT INTO plans VALUES('saved-1','job','{folder}/people.ldif','sha256:cc5ba427b813f34cd5229c252a9f82e4c9b093ca4548f6522b975915c2c40757','78111958e958f393cc9c95f409718c516cdd5ae7d34703adfb583d771a319fd7','2026-12-01T16:14:11.084603+00:00','[["00000000-0000-0000-0000-000000000002","uid=user2,ou=people,dc=example,dc=org"],"uid=user5,ou=people,dc=example,dc=org"]',NULL,'feb0da8173cb6ec93a3187f3106d96e636f9779c3fc7a8a779d83f72d3994b10');
CREATE TABLE pruned (
    directory text not null, job text not null, until text not null, whole integer not null,
    primary key (directory, job)
    );
INSERT INTO pruned VALUES('{folder}/people.ldif','job','2026-01-01T00:00:00+00:00',1);
CREATE TABLE refused (
    directory text not null, job text not null, user_id text not null, attributes text not null,
    runs integer not null, turn integer not null, why text not null, primary key (directory, job, user_id)
    );
INSERT INTO refused VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000003','["title"]',2,3,'not allowed');
CREATE TABLE releases (
    id text primary key, job text not null, time text not null, why text not null, number integer not null
    );
INSERT INTO releases VALUES('a-release','job','2026-11-29T12:00:00+00:00','it was on hold',90);
CREATE TABLE run_plans (run text primary key, job text not null, plan text not null, number integer not null);
INSERT INTO run_plans VALUES('run-1','job','{"plan":"run-1","created":"2026-12-01T16:14:05+00:00","changes":[["00000000-0000-0000-0000-000000000001","sha256:27316f72b35c92d9835cd2df2d88596d4130d96be32e5ce25b9a149deb7d8dcc"],["00000000-0000-0000-0000-000000000002","sha256:e35fab2f716f88206513817b5a0659e37c77dabc60e49f59e83849bd0d07de9e"],["00000000-0000-0000-0000-000000000003","sha256:67fa15f5232f0750376e206b06b7c39921c8ec240bf62e34dcbec33f2f38e736"],["00000000-0000-0000-0000-000000000004","sha256:227ee354f62f8d31a05b76bb01f8560655c9e24c2399755f89e74c58f116816b"],["00000000-0000-0000-0000-000000000005","sha256:bff1325ac505a2d6973536a69964123b57675580261bec162666c87d294b28f5"]],"problems":[]}',1);
INSERT INTO run_plans VALUES('run-2','job','{"plan":"run-2","created":"2026-12-01T16:14:06+00:00","changes":[["00000000-0000-0000-0000-000000000001","sha256:6de63d636e831dab78ec7e97e03a3aac1f6cdf5cdd1954c009317d2256c10eac"]],"problems":[["0ed88541e11d350bc6c6f4f5ec2bcedf","e75aac1fa96c9a989192f852e10d0b30"]]}',2);
INSERT INTO run_plans VALUES('run-4','job','{"plan":"run-4","created":"2026-12-01T16:14:09+00:00","changes":[["00000000-0000-0000-0000-000000000001","sha256:6de63d636e831dab78ec7e97e03a3aac1f6cdf5cdd1954c009317d2256c10eac"]],"problems":[["0ed88541e11d350bc6c6f4f5ec2bcedf","e75aac1fa96c9a989192f852e10d0b30"]]}',3);
CREATE TABLE schedule (job text primary key, tick text not null, ended integer not null, good text);
INSERT INTO schedule VALUES('job','2026-11-30T12:00:00+00:00',1,'2026-11-30T12:00:00+00:00');
CREATE TABLE sources (job text primary key, source text not null);
INSERT INTO sources VALUES('job','file {folder}/agents.json');
CREATE TABLE stale (
    directory text not null, job text not null, user_id text not null, waited bigint not null,
    runs integer not null, primary key (directory, job, user_id)
    );
INSERT INTO stale VALUES('{folder}/people.ldif','job','00000000-0000-0000-0000-000000000005',3,2);
CREATE TABLE told (
    run text not null references runs, sink text not null, number bigint not null, primary key (run, sink)
    );
CREATE INDEX journal_open on journal (run) where outcome is null;
CREATE INDEX journal_lost on journal (user_id) where lost is not null;
CREATE INDEX journal_users on journal (user_id);
CREATE INDEX ownership_jobs on ownership (directory, job);
CREATE UNIQUE INDEX documents_waiting on documents (job) where kind = 'plan'
    ;

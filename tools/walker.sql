-- The table of the walker's card, and what the walker must show.

CREATE TEMP TABLE score AS
SELECT k.setting, k.method, k.lambda, k.n_ctx, k.hits, k.n, k.least, t.nll
FROM (SELECT setting, method, lambda, n_ctx, CAST(round(sum(value * n)) AS INTEGER) AS hits, sum(n) AS n,
             CAST(round(min(value * n)) AS INTEGER) AS least
      FROM v_cell WHERE metric = 'passkey_exact' GROUP BY setting, n_ctx) AS k
JOIN (SELECT setting, n_ctx, value AS nll FROM v_cell WHERE metric = 'nll') AS t USING (setting, n_ctx);

CREATE TEMP TABLE best AS -- of retrieval, and of nll, at each length
SELECT n_ctx, max(100.0 * hits / n) AS passkey, min(nll) AS nll FROM score GROUP BY n_ctx;

.mode list
.separator " | "
SELECT '| setting | 256 | 512 | 1024 | 2048 |';
SELECT '|---|---|---|---|---|';
SELECT '| ' || setting || ' | ' || group_concat(printf('%.1f %% / %.3f', 100.0 * hits / n, nll), ' | ') || ' |'
FROM (SELECT * FROM score ORDER BY n_ctx)
GROUP BY setting ORDER BY method = 'none' DESC, method, lambda, setting;
SELECT '';

CREATE TEMP VIEW plain AS SELECT * FROM score WHERE setting = 'none';
CREATE TEMP VIEW formula AS SELECT * FROM score WHERE setting = 'ntk:lambda=auto-each';
CREATE TEMP TABLE wanted (what TEXT, is_so INTEGER, found TEXT);
INSERT INTO wanted
SELECT '1x: plain finds 99 %', 100 * hits >= 99 * n, hits || ' of ' || n FROM plain WHERE n_ctx = 256
UNION ALL SELECT '1x: plain finds 48 of 50 at every depth', least >= 48, least FROM plain WHERE n_ctx = 256
UNION ALL SELECT '2x: plain finds at most 70 %', 100 * hits <= 70 * n, hits || ' of ' || n FROM plain WHERE n_ctx = 512
UNION ALL SELECT '4x: plain finds at most 20 %', 100 * hits <= 20 * n, hits || ' of ' || n FROM plain WHERE n_ctx = 1024
UNION ALL SELECT '8x: plain finds at most 5 %', 100 * hits <= 5 * n, hits || ' of ' || n FROM plain WHERE n_ctx = 2048
UNION ALL SELECT '2x: ntk by the formula finds 90 %', 100 * hits >= 90 * n, hits || ' of ' || n FROM formula WHERE n_ctx = 512
UNION ALL SELECT '4x: ntk by the formula finds 40 points more than plain', 100 * (formula.hits - plain.hits) >= 40 * plain.n,
                 formula.hits || ' against ' || plain.hits
          FROM formula JOIN plain USING (n_ctx) WHERE n_ctx = 1024
UNION ALL SELECT '2x: the best finds 97 %', passkey >= 97, round(passkey, 1) FROM best WHERE n_ctx = 512
UNION ALL SELECT '4x: the best finds 95 %', passkey >= 95, round(passkey, 1) FROM best WHERE n_ctx = 1024
UNION ALL SELECT '8x: the best finds 65 %', passkey >= 65, round(passkey, 1) FROM best WHERE n_ctx = 2048
UNION ALL SELECT '4x: nll of plain is 0.4 above 1x', b.nll - a.nll >= 0.4, round(b.nll - a.nll, 3)
          FROM plain AS a, plain AS b WHERE a.n_ctx = 256 AND b.n_ctx = 1024
UNION ALL SELECT '2x: the best nll is within 0.15 of 1x', b.nll - a.nll <= 0.15, round(b.nll - a.nll, 3)
          FROM plain AS a, best AS b WHERE a.n_ctx = 256 AND b.n_ctx = 512
UNION ALL SELECT '4x: lambda ' || s.lambda || ' is clearly worse than the best lambda', s.hits + 0.2 * s.n <= l.hits AND s.nll >= l.nll + 0.05,
                 s.hits || ' against ' || l.hits || ', nll ' || round(s.nll, 3) || ' against ' || round(l.nll, 3)
          FROM score AS s, (SELECT max(hits) AS hits, min(nll) AS nll FROM score WHERE method = 'ntk' AND n_ctx = 1024) AS l
          WHERE s.method = 'ntk' AND s.n_ctx = 1024 AND s.lambda IN (0.25, 256);
SELECT CASE WHEN is_so THEN 'ok  ' ELSE 'NOT ' END || what || ': ' || found FROM wanted;

.bail on
CREATE TEMP TABLE verdict (n_missed INTEGER CHECK (n_missed = 0)); -- the exit status; a row that is not there is missed too
INSERT INTO verdict SELECT 14 - count(*) FROM wanted WHERE is_so;

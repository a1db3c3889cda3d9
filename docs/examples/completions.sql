-- Queries of the table that `imagen setup --completions-bigquery` fills. They name it `reports.completions`.
-- Pub/Sub may write a completion more than once, with the same eventId: each query takes one row of each.
-- Group completions share the table and have the attribute `type`. Queries read the partitions that publish_time names.

-- 1. Jobs by hour and status, of the last day
WITH jobs AS (
  SELECT data, publish_time FROM `reports.completions`
  WHERE publish_time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY) AND JSON_VALUE(attributes, '$.type') IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(data, '$.eventId') ORDER BY publish_time) = 1
)
SELECT TIMESTAMP_TRUNC(publish_time, HOUR) AS hour, JSON_VALUE(data, '$.status') AS status, COUNT(*) AS jobs
FROM jobs GROUP BY hour, status ORDER BY hour, status;

-- 2. Failures by code and stage, of the last week, with an example of each
WITH jobs AS (
  SELECT data FROM `reports.completions`
  WHERE publish_time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY) AND JSON_VALUE(attributes, '$.type') IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(data, '$.eventId') ORDER BY publish_time) = 1
)
SELECT
  JSON_VALUE(data, '$.error.code') AS code,
  JSON_VALUE(data, '$.error.stage') AS stage,
  COUNT(*) AS jobs,
  ANY_VALUE(JSON_VALUE(data, '$.error.message')) AS example
FROM jobs WHERE JSON_VALUE(data, '$.status') = 'failed'
GROUP BY code, stage ORDER BY jobs DESC;

-- 3. Inference time by model and version, of the last day. timingsMs has one inference time for a job, so that only jobs of
--    one operation are counted.
WITH jobs AS (
  SELECT data FROM `reports.completions`
  WHERE publish_time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY) AND JSON_VALUE(attributes, '$.type') IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(data, '$.eventId') ORDER BY publish_time) = 1
), timed AS (
  SELECT
    JSON_VALUE(data, '$.steps[0].model') AS model,
    JSON_VALUE(data, '$.steps[0].servedVersion') AS version,
    LAX_FLOAT64(JSON_QUERY(data, '$.timingsMs.inference')) AS ms
  FROM jobs
  WHERE JSON_VALUE(data, '$.status') = 'succeeded' AND ARRAY_LENGTH(JSON_QUERY_ARRAY(data, '$.steps')) = 1
)
SELECT model, version, COUNT(*) AS jobs,
  APPROX_QUANTILES(ms, 100)[OFFSET(50)] AS p50_ms, APPROX_QUANTILES(ms, 100)[OFFSET(95)] AS p95_ms
FROM timed GROUP BY model, version ORDER BY model, version;

-- 4. What it cost, by day and tenant (or group, where a job has no tenant): GPU seconds, which a GPU's price multiplies. They are
--    estimates, and those of a worker's first jobs of a version are missing. A GPU costs while it is idle, too.
WITH jobs AS (
  SELECT data, publish_time FROM `reports.completions`
  WHERE publish_time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY) AND JSON_VALUE(attributes, '$.type') IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(data, '$.eventId') ORDER BY publish_time) = 1
)
SELECT
  DATE(publish_time) AS day,
  COALESCE(JSON_VALUE(data, '$.tenant'), JSON_VALUE(data, '$.group.id'), 'nobody') AS owner,
  COUNT(*) AS jobs,
  SUM((SELECT SUM(LAX_FLOAT64(JSON_QUERY(step, '$.gpuMs'))) FROM UNNEST(JSON_QUERY_ARRAY(data, '$.steps')) AS step)) / 1000 AS gpu_seconds
FROM jobs GROUP BY day, owner ORDER BY day, gpu_seconds DESC;

-- 5. The slowest jobs of yesterday, and where their time went
WITH jobs AS (
  SELECT data FROM `reports.completions`
  WHERE DATE(publish_time) = DATE_SUB(CURRENT_DATE(), INTERVAL 1 DAY) AND JSON_VALUE(attributes, '$.type') IS NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(data, '$.eventId') ORDER BY publish_time) = 1
)
SELECT
  JSON_VALUE(data, '$.jobId') AS job,
  JSON_VALUE(data, '$.input.uri') AS input,
  LAX_FLOAT64(JSON_QUERY(data, '$.timingsMs.total')) AS total_ms,
  LAX_FLOAT64(JSON_QUERY(data, '$.timingsMs.queued')) AS queued_ms,
  LAX_FLOAT64(JSON_QUERY(data, '$.timingsMs.memory')) AS memory_ms,
  LAX_FLOAT64(JSON_QUERY(data, '$.timingsMs.inference')) AS inference_ms,
  LAX_INT64(JSON_QUERY(data, '$.attempt')) AS attempt
FROM jobs ORDER BY total_ms DESC LIMIT 20;

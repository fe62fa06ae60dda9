-- Operations that are a part of another one are found by it.
CREATE INDEX operation_part ON operation (json_extract(origin, '$.part_of'), id)
  WHERE json_extract(origin, '$.part_of') IS NOT NULL;

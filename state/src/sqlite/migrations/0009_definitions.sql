-- Which version of the definitions a run was planned with.
ALTER TABLE run ADD COLUMN definitions TEXT;

"""Files at a URL (S3, Google Cloud Storage, HTTP), through fsspec; nothing of it is loaded without one."""

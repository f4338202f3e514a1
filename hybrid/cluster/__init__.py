"""Work in blocks on the workers of a Dask cluster; nothing of Dask is loaded without one."""

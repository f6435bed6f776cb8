"""The generated client, made safe: requests built, replies read, errors mapped, calls repeated."""

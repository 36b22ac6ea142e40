import hashlib, hmac, time

def verify(key: bytes, header: str, body: bytes, now: float = 0.0) -> bool:
    """header is Agentd-Signature: t=SECONDS,v1=HEX; messages older than five minutes are refused."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    wanted = hmac.new(key, parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    fresh = abs((now or time.time()) - int(parts["t"])) <= 300
    return fresh and hmac.compare_digest(wanted, parts["v1"])

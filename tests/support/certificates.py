"""Certificates of this machine for the TLS rows, and their key.

The key is no secret: it signs nothing but these three, which nobody trusts.  They are kept because
a clean machine may have no `openssl`.
"""

import ssl
from pathlib import Path

KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHCE6SPoJzOLAgsPWk4A9DPauPhOj9eGeBWR770ckTMPoAoGCCqGSM49
AwEHoUQDQgAE8i53Hnrk1N32fzlJ0hv98XU9K+tp9cMfMYUjsfT1Nm1ILPx+jF+P
dSZy4g3rQpfGFM84lYkbKpXp/VdCQ5qHrA==
-----END EC PRIVATE KEY-----
"""

GOOD = """\
-----BEGIN CERTIFICATE-----
MIIBXjCCAQWgAwIBAgIBAjAKBggqhkjOPQQDAjAeMRwwGgYDVQQDDBNmZnRkZXBs
b3kgdGVzdCBnb29kMCAXDTIwMDEwMTAwMDAwMFoYDzIwNzUwMTAxMDAwMDAwWjAe
MRwwGgYDVQQDDBNmZnRkZXBsb3kgdGVzdCBnb29kMFkwEwYHKoZIzj0CAQYIKoZI
zj0DAQcDQgAE8i53Hnrk1N32fzlJ0hv98XU9K+tp9cMfMYUjsfT1Nm1ILPx+jF+P
dSZy4g3rQpfGFM84lYkbKpXp/VdCQ5qHrKMyMDAwDwYDVR0RBAgwBocEfwAAATAd
BgNVHQ4EFgQULmvithvbPRUko+kaHZjf11zMqP0wCgYIKoZIzj0EAwIDRwAwRAIg
ZgICZmIRyBk68OqFDBTFgbAsenjKiT+7hl0hLzUkt6gCIHxc6uk7aG2xJnIVHYCZ
qFtNQhDXNGGke5XcFQbaeCux
-----END CERTIFICATE-----
"""

WRONG_HOST = """\
-----BEGIN CERTIFICATE-----
MIIBajCCARCgAwIBAgIBAzAKBggqhkjOPQQDAjAfMR0wGwYDVQQDDBRmZnRkZXBs
b3kgdGVzdCB3cm9uZzAgFw0yMDAxMDEwMDAwMDBaGA8yMDc1MDEwMTAwMDAwMFow
HzEdMBsGA1UEAwwUZmZ0ZGVwbG95IHRlc3Qgd3JvbmcwWTATBgcqhkjOPQIBBggq
hkjOPQMBBwNCAATyLnceeuTU3fZ/OUnSG/3xdT0r62n1wx8xhSOx9PU2bUgs/H6M
X491JnLiDetCl8YUzziViRsqlen9V0JDmoesozswOTAYBgNVHREEETAPgg1vdGhl
ci5leGFtcGxlMB0GA1UdDgQWBBQua+K2G9s9FSSj6RodmN/XXMyo/TAKBggqhkjO
PQQDAgNIADBFAiEAsGQBDILuMxBn8oXDNny6t6PptPWeWe1RDZh3TlM15XYCIDbM
ti6CINiYwCdkaWVr4eRbm0Rp7189zH0C2ic/jLWc
-----END CERTIFICATE-----
"""

EXPIRED = """\
-----BEGIN CERTIFICATE-----
MIIBYzCCAQmgAwIBAgIBATAKBggqhkjOPQQDAjAhMR8wHQYDVQQDDBZmZnRkZXBs
b3kgdGVzdCBleHBpcmVkMB4XDTIwMDEwMTAwMDAwMFoXDTIwMDIwMTAwMDAwMFow
ITEfMB0GA1UEAwwWZmZ0ZGVwbG95IHRlc3QgZXhwaXJlZDBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABPIudx565NTd9n85SdIb/fF1PSvrafXDHzGFI7H09TZtSCz8
foxfj3UmcuIN60KXxhTPOJWJGyqV6f1XQkOah6yjMjAwMA8GA1UdEQQIMAaHBH8A
AAEwHQYDVR0OBBYEFC5r4rYb2z0VJKPpGh2Y39dczKj9MAoGCCqGSM49BAMCA0gA
MEUCIDy9op/mBhzm6a+ujQte/dkmfha6W7A+PKvzbI4E/tTYAiEAtgebJH9pHijL
Kc0l9ba9VAArTrAjI4iR5HF54pwvfj8=
-----END CERTIFICATE-----
"""


def served(folder: Path, certificate: str) -> ssl.SSLContext:
    """Return what a server shows `certificate` with; it lies in `folder` from then on."""
    (folder / "c.pem").write_text(certificate + KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem")
    return context

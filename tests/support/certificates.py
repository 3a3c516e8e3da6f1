"""A certificate authority for one run of the tests, made with openssl(1)."""

import os
import subprocess


def run(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Authority:
    """Issues into FOLDER: NAME.crt and NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        os.makedirs(folder, exist_ok=True)
        self.certificate = self.path(f"{name}.crt")
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", f"/CN=ringfence test {name}", "-keyout",
            self.path(f"{name}.key"), "-out", self.certificate)

    def path(self, name):
        return os.path.join(self.folder, name)

    def issue(self, common_name, addresses=(), names=(), file=None):
        """(certificate, key) for COMMON_NAME; with addresses or names, one for a server."""
        file = file or common_name
        certificate, key = self.path(f"{file}.crt"), self.path(f"{file}.key")
        request, extensions = self.path(f"{file}.csr"), self.path(f"{file}.ext")
        alternatives = [f"IP:{a}" for a in addresses] + [f"DNS:{n}" for n in names]
        with open(extensions, "w", encoding="ascii") as out:
            usage = "serverAuth" if alternatives else "clientAuth"
            out.write(f"extendedKeyUsage={usage}\n")
            if alternatives:
                out.write(f"subjectAltName={','.join(alternatives)}\n")
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            f"/CN={common_name}", "-keyout", key, "-out", request)
        run("x509", "-req", "-in", request, "-days", "2", "-CA", self.certificate, "-CAkey",
            self.path(f"{self.name}.key"), "-set_serial", str(int.from_bytes(os.urandom(8), "big")),
            "-extfile", extensions, "-out", certificate)
        os.chmod(key, 0o600)
        return certificate, key

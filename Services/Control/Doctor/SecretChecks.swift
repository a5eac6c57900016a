internal import FoundationEssentials
internal import Glibc
internal import Schema

/// Files with secrets: there, not readable by others, of the right form.
struct SecretChecks: CheckGroup {
    let settings: ControlSettings

    func run() async -> [CheckFinding] {
        [masterKey(), secretsFolder(), certificate()].compactMap { $0 }
    }

    private func masterKey() -> CheckFinding {
        let check = "keys.master"
        let mend =
            "32 random bytes in base64: `openssl rand -base64 32`. A lost key makes personal data unreadable: restore it"
        do {
            guard let text = try settings.reader.text("SLUICE_MASTER_KEY") else {
                return .bad(check, "SLUICE_MASTER_KEY is not set", mend: mend)
            }
            guard Data(base64Encoded: text)?.count == 32 else {
                return .bad(check, "SLUICE_MASTER_KEY is not 32 bytes in base64", mend: mend)
            }
            return .good(check, "32 bytes")
        } catch {
            return .bad(check, "\(error)", mend: mend)
        }
    }

    private func secretsFolder() -> CheckFinding? {
        guard let folder = try? settings.reader.text("SLUICE_SECRETS_DIR") else { return nil }
        let check = "keys.files"
        let files = ["master.key", "postgres-superuser"] + Bootstrap.loginRoles.map { "db-\($0)" }
        var open: [String] = []
        var missing: [String] = []
        for file in files {
            var status = stat()
            guard stat("\(folder)/\(file)", &status) == 0, status.st_size > 0 else {
                missing.append(file)
                continue
            }
            if status.st_mode & 0o077 != 0 { open.append(file) }
        }
        if !missing.isEmpty {
            return .bad(
                check, "missing in \(folder): \(missing.joined(separator: ", "))",
                mend: "`deploy/up` makes what is missing")
        }
        if !open.isEmpty {
            return .bad(
                check, "others may read \(open.joined(separator: ", "))",
                mend: "chmod 600 \(open.map { "\(folder)/\($0)" }.joined(separator: " "))")
        }
        return .good(check, "\(files.count) files, readable by their owner alone")
    }

    private func certificate() -> CheckFinding? {
        for name in ["SLUICE_DB_CA_FILE", "SLUICE_AMQP_CA_FILE"] {
            guard let path = try? settings.reader.text(name) else { continue }
            guard let text = try? String(contentsOfFile: path, encoding: .utf8),
                text.contains("-----BEGIN CERTIFICATE-----")
            else {
                return .bad("keys.certificates", "\(name): \(path) has no certificate in PEM", mend: "correct \(name)")
            }
        }
        return nil
    }
}

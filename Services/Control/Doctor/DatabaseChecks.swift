internal import FoundationEssentials
internal import Postgres
internal import Schema

/// The server, its settings, the schema, the rights.
struct DatabaseChecks: CheckGroup {
    let settings: ControlSettings

    func run() async -> [CheckFinding] {
        let connection: ScriptConnection
        do {
            connection = try await ScriptConnection.open(settings.control())
        } catch {
            return [
                .bad(
                    "database.reach", "\(error)",
                    mend:
                        "is PostgreSQL running (deploy/stack/postgres status)? are SLUICE_DB_HOST, SLUICE_DB_PORT and the password right? has `sluicectl migrate --bootstrap` run?"
                )
            ]
        }
        var findings: [CheckFinding] = [.good("database.reach", "signed in as sluice_control")]
        findings.append(await migrations())
        for look in DatabaseLook.all + DatabaseLook.lane {
            do {
                findings.append(look.judge(try await connection.rows(look.sql).first ?? []))
            } catch {
                findings.append(
                    .bad("database.\(look.name)", "\(error)", mend: "run `sluicectl migrate` and look again"))
            }
        }
        return findings
    }

    private func migrations() async -> CheckFinding {
        let check = "database.schema"
        do {
            let plan = try await Migrator(
                connection: ScriptConnection.open(settings.migrator()), files: MigrationFile.shipped()
            ).plan()
            guard plan.pending.isEmpty else {
                return .bad(
                    check, "\(plan.pending.count) migrations wait: \(plan.pending.map(\.name).joined(separator: ", "))",
                    mend: "sluicectl migrate")
            }
            return .good(check, "\(plan.applied.count) migrations, all applied and unchanged")
        } catch {
            return .bad(check, "\(error)", mend: "see deploy/docs/sluicectl.md, migrate")
        }
    }
}

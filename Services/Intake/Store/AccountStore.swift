import FoundationEssentials
public import Model
import Postgres
import ServiceKit

/// Who may sign in.
public struct StoredAccount: Sendable, Hashable {
    public var id: Account.ID
    public var login: String
    public var displayName: String
    public var roles: [Role]
    /// The city's own id among them is the whole city.
    public var districts: [District.ID]
    public var isActive: Bool
    public var externalID: String?
    public var hasPassword: Bool
    public var version: Int
    public var createdAt: Timestamp
    public var changedAt: Timestamp

    var isCityWide: Bool { districts.contains(District.city) }

    var scope: DistrictScope {
        if isCityWide { return .city }
        return districts.isEmpty ? .none : .districts(districts.map(\.rawValue))
    }
}

/// Accounts are city-wide: no district scope bears on them. Each change is a row of `intake.history` in the same
/// transaction.
struct AccountStore: Sendable {
    let database: PostgresClient

    private static let columns: SQL = """
        account_id, login, display_name, roles, districts, active, external_id, password_hash IS NOT NULL AS has_password,
        version, created_at, changed_at
        """

    /// Nobody signs in as the sentinel, and nobody sees it.
    private static let real: SQL = "login <> 'sentinel'"

    func find(_ id: Account.ID) async throws -> StoredAccount? {
        try await database.query(
            "SELECT \(Self.columns) FROM intake.account WHERE account_id = \(id) AND \(Self.real)"
        ).first.map(Self.account)
    }

    func find(login: String) async throws -> (account: StoredAccount, password: PasswordHash?)? {
        try await one("login = \(login.lowercased())")
    }

    func find(externalID: String) async throws -> StoredAccount? {
        try await one("external_id = \(externalID)")?.account
    }

    private func one(_ condition: SQL) async throws -> (account: StoredAccount, password: PasswordHash?)? {
        let rows = try await database.query(
            "SELECT \(Self.columns), password_hash FROM intake.account WHERE \(condition) AND \(Self.real)")
        return try rows.first.map { row in
            (try Self.account(row), try row.decode("password_hash", as: String?.self).flatMap { PasswordHash($0) })
        }
    }

    func list(after login: String?, rows count: Int) async throws -> [StoredAccount] {
        try await database.query(
            """
            SELECT \(Self.columns) FROM intake.account
            WHERE login > \(login ?? "") AND \(Self.real)
            ORDER BY login
            LIMIT \(count)
            """
        ).map(Self.account)
    }

    // MARK: - Statements of a change

    static func insert(_ account: StoredAccount, password: PasswordHash?) -> SQL {
        """
        INSERT INTO intake.account (
            account_id, login, display_name, roles, districts, active, password_hash, external_id, version, created_at,
            changed_at)
        VALUES (
            \(account.id), \(account.login), \(account.displayName), \(account.roles)::text[],
            \(account.districts)::uuid[], \(account.isActive), \(password?.text), \(account.externalID),
            \(account.version), \(account.createdAt), \(account.changedAt))
        """
    }

    /// Changes nothing, and returns no row, if the account is not at `version` any more.
    static func update(_ account: StoredAccount, password: PasswordHash?, from version: Int) -> SQL {
        """
        UPDATE intake.account SET
            display_name = \(account.displayName), roles = \(account.roles)::text[],
            districts = \(account.districts)::uuid[], active = \(account.isActive),
            external_id = \(account.externalID), password_hash = coalesce(\(password?.text), password_hash),
            version = version + 1, changed_at = \(account.changedAt)
        WHERE account_id = \(account.id) AND version = \(version)
        RETURNING version
        """
    }

    /// What the record keeps of a change: everything but secrets.
    static func record(
        _ account: StoredAccount, _ fact: AccountFact, actor: String, id: EventRecord.ID, traceparent: String?
    ) throws -> SQL {
        let body = AccountRecord(account)
        let json = try JSONBytes.text(of: body)
        return """
            INSERT INTO intake.history (
                id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, traceparent, body)
            VALUES (
                \(id), 'account', \(account.id), \(account.version), \(fact.rawValue), \(District.city), 'r', \(actor),
                \(account.changedAt), \(traceparent), \(json)::jsonb)
            """
    }

    private static func account(_ row: Row) throws -> StoredAccount {
        StoredAccount(
            id: try row.decode("account_id"), login: try row.decode("login"),
            displayName: try row.decode("display_name"), roles: try row.decode("roles"),
            districts: try row.decode("districts"), isActive: try row.decode("active"),
            externalID: try row.decode("external_id"), hasPassword: try row.decode("has_password"),
            version: try row.decode("version"), createdAt: try row.decode("created_at"),
            changedAt: try row.decode("changed_at"))
    }
}

/// What can happen to an account. Not events of the city: nobody but the record is told.
enum AccountFact: String, Sendable {
    case created = "account.created.v1"
    case changed = "account.changed.v1"
    case passwordSet = "account.password_set.v1"
    case deactivated = "account.deactivated.v1"
}

private struct AccountRecord: Encodable {
    var login: String
    var displayName: String
    var roles: [Role]
    var districts: [District.ID]
    var active: Bool
    var hasPassword: Bool
    var external: Bool

    init(_ account: StoredAccount) {
        login = account.login
        displayName = account.displayName
        roles = account.roles
        districts = account.districts
        active = account.isActive
        hasPassword = account.hasPassword
        external = account.externalID != nil
    }
}

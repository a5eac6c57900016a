import FoundationEssentials
import HTTPTypes
public import Model
public import Postgres
import ServiceKit

/// A new account, or what is to be changed of one (nil: as it is).
public struct AccountChange: Sendable {
    public var displayName: String?
    public var roles: [Role]?
    public var districts: [District.ID]?
    public var isActive: Bool?
    public var password: String?
    /// `iss sub` of an external issuer.
    public var externalID: String?

    public init(
        displayName: String? = nil, roles: [Role]? = nil, districts: [District.ID]? = nil, isActive: Bool? = nil,
        password: String? = nil, externalID: String? = nil
    ) {
        self.displayName = displayName
        self.roles = roles
        self.districts = districts
        self.isActive = isActive
        self.password = password
        self.externalID = externalID
    }
}

/// Makes and changes accounts, each change with its record. For the service's own routes and for `sluicectl`.
public struct ManageAccounts: Sendable {
    let store: AccountStore
    let passwords: PasswordThread
    let sources: Sources

    /// - Parameter database: as a role that may write intake's tables for the whole city.
    public init(database: PostgresClient, passwords: PasswordThread, sources: Sources) {
        self.store = AccountStore(database: database)
        self.passwords = passwords
        self.sources = sources
    }

    public static let roles: [Role] = [.crew, .dispatcher, .office, .manager, .admin, .system]
    /// Characters.
    public static let passwordLength = 12...128

    public func find(login: String) async throws -> StoredAccount? { try await store.find(login: login)?.account }

    public func list(after login: String? = nil, limit: Int = 200) async throws -> [StoredAccount] {
        try await store.list(after: login, rows: limit)
    }

    /// Makes an account and writes it. Throws a `Problem` for fields that cannot be accepted, and if the name is taken.
    /// - Parameter id: for seeds that must give the same account each time.
    @discardableResult
    public func create(
        login: String, _ change: AccountChange, actor: String, id: Account.ID? = nil
    ) async throws -> StoredAccount {
        let (account, statements) = try await creation(login: login, change, actor: actor, id: id, traceparent: nil)
        try await Self.namingTaken { _ = try await store.database.segment(statements, scope: .city) }
        return account
    }

    /// Changes an account as it is now. Throws a `Problem` (404) if there is none.
    @discardableResult
    public func change(login: String, _ change: AccountChange, actor: String) async throws -> StoredAccount {
        guard let account = try await find(login: login) else { throw Problem.notFound("The account", zh: "该账号") }
        return try await self.change(account, change, actor: actor, traceparent: nil)
    }

    /// Tells a name that is taken as a `Problem` (409) that names the field.
    static func namingTaken<Success: Sendable>(_ write: () async throws -> Success) async throws -> Success {
        do {
            return try await write()
        } catch let error as PostgresError where error.isUniqueViolation(constraint: "account_login") {
            throw taken("login", "There is an account of this name already.", zh: "该账号名已存在。")
        } catch let error as PostgresError where error.isUniqueViolation(constraint: "account_external_id_key") {
            throw taken(
                "external_id", "Another account has this external identity already.", zh: "该外部身份已绑定其他账号。")
        }
    }

    private static func taken(_ field: String, _ detail: String, zh: String) -> Problem {
        Problem(
            .conflict, code: "\(field)_taken", detail, zh: zh,
            fields: [FieldError(field, code: "taken", "This is taken.", zh: "已被使用。")])
    }

    // MARK: - Parts

    /// The statements that make an account, to be written inside `namingTaken`.
    func creation(
        login: String, _ change: AccountChange, actor: String, id: Account.ID?, traceparent: String?
    ) async throws -> (account: StoredAccount, statements: [SQL]) {
        var check = Validation()
        let login = login.lowercased()
        check.require(
            Self.isLogin(login), "login", code: "form",
            "2 to 64 of a-z, 0-9, '.', '_', '-', '@' are wanted, beginning with a letter or digit.",
            zh: "应为 2 到 64 个字符：a-z、0-9、.、_、-、@，以字母或数字开头。")
        check.require(change.roles != nil, "roles", code: "missing", "Roles are wanted.", zh: "必须提供角色。")
        check.require(
            change.password != nil || change.externalID != nil, "password", code: "missing",
            "A password is wanted, or external_id.", zh: "必须提供密码或 external_id。")
        Self.check(change, &check)
        try check.finish()
        let now = sources.now()
        let account = StoredAccount(
            id: id ?? Account.ID(sources.randomUUID(now)), login: login, displayName: change.displayName ?? login,
            roles: Self.ordered(change.roles ?? []), districts: change.districts ?? [],
            isActive: change.isActive ?? true, externalID: change.externalID, hasPassword: change.password != nil,
            version: 1, createdAt: now, changedAt: now)
        let password = try await hash(change.password)
        return (
            account,
            [
                AccountStore.insert(account, password: password),
                try AccountStore.record(
                    account, .created, actor: actor, id: EventRecord.ID(sources.randomUUID(now)),
                    traceparent: traceparent),
            ]
        )
    }

    /// Throws a `Problem` (412) if somebody else changed the account meanwhile. Whatever a change takes away is gone at
    /// once: the account's sessions end unless only its name was changed.
    func change(
        _ account: StoredAccount, _ change: AccountChange, actor: String, traceparent: String?
    ) async throws -> StoredAccount {
        var check = Validation()
        Self.check(change, &check)
        try check.finish()
        let now = sources.now()
        let password = try await hash(change.password)
        var next = account
        next.displayName = change.displayName ?? account.displayName
        next.roles = change.roles.map(Self.ordered) ?? account.roles
        next.districts = change.districts ?? account.districts
        next.isActive = change.isActive ?? account.isActive
        next.externalID = change.externalID ?? account.externalID
        next.hasPassword = account.hasPassword || password != nil
        next.version += 1
        next.changedAt = now
        // Whose external identity it is decides who may sign in by it.
        let bearsOnRights =
            next.roles != account.roles || next.districts != account.districts || next.isActive != account.isActive
            || next.externalID != account.externalID || password != nil
        let fact: AccountFact =
            !next.isActive && account.isActive ? .deactivated : password != nil ? .passwordSet : .changed
        let record = try AccountStore.record(
            next, fact, actor: actor, id: EventRecord.ID(sources.randomUUID(now)), traceparent: traceparent)
        return try await Self.namingTaken {
            try await store.database.transaction(scope: .city) { [next] transaction in
                let updated = try await transaction.query(
                    AccountStore.update(next, password: password, from: account.version))
                guard !updated.isEmpty else { throw Problem.preconditionFailed }
                var statements = [record]
                if bearsOnRights { statements.append(SessionStore.endAll(of: next.id, as: .accountChanged, now: now)) }
                _ = try await transaction.commit(statements)
                return next
            }
        }
    }

    private func hash(_ password: String?) async throws -> PasswordHash? {
        guard let password else { return nil }
        do {
            return try await passwords.hash(password, salt: sources.randomBytes(16))
        } catch is PasswordThread.Busy {
            throw Problem.tooMany(retryAfter: 5)
        }
    }

    private static func check(_ change: AccountChange, _ check: inout Validation) {
        if let name = change.displayName { check.text("display_name", name, 1...80) }
        if let roles = change.roles {
            check.count("roles", roles, 1...6)
            check.require(
                roles.allSatisfy(Self.roles.contains) && Set(roles).count == roles.count, "roles", code: "not_allowed",
                "Each role once, of those that sign in.", zh: "角色应为可登录角色且不重复。",
                allowed: Self.roles.map(\.rawValue))
        }
        if let districts = change.districts { check.count("districts", districts, 0...64) }
        if let password = change.password { check.text("password", password, passwordLength) }
        if let external = change.externalID { check.text("external_id", external, 3...400) }
    }

    private static func isLogin(_ text: String) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
        guard (2...64).contains(text.utf8.count), let first = text.utf8.first, isPlain(first), text != "sentinel" else {
            return false
        }
        return text.utf8.allSatisfy { isPlain($0) || [0x2E, 0x5F, 0x40, 0x2D].contains($0) }
    }

    /// In the order of the catalogue, so that two equal sets are equal.
    private static func ordered(_ roles: [Role]) -> [Role] { Self.roles.filter(roles.contains) }
}

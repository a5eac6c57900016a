/// One value on its way to the server.
public struct PostgresParameter: Sendable, Hashable {
    enum Storage: Sendable, Hashable {
        case null
        case text(String)
        case binary([UInt8])
    }

    let storage: Storage
    /// The type's number in the server's catalogue; 0 leaves it to the server to infer.
    let type: UInt32

    /// A value in the server's text form; nil is NULL.
    public init(text: String?, type: UInt32 = 0) {
        storage = text.map(Storage.text) ?? .null
        self.type = type
    }

    init(binary: [UInt8], type: UInt32) {
        storage = .binary(binary)
        self.type = type
    }

    public var isNull: Bool { storage == .null }

    var byteCount: Int {
        switch storage {
        case .null: 0
        case .text(let text): text.utf8.count
        case .binary(let bytes): bytes.count
        }
    }

    var hasZeroByte: Bool {
        guard case .text(let text) = storage else { return false }
        return text.utf8.withContiguousStorageIfAvailable { $0.contains(0) } ?? text.utf8.contains(0)
    }
}

extension PostgresParameter: CustomStringConvertible {
    public var description: String { "***" }
}

/// The numbers of built-in types (`pg_type.dat`); they never change.
enum PostgresType {
    static let inferred: UInt32 = 0
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let float4: UInt32 = 700
    static let float8: UInt32 = 701
    static let boolArray: UInt32 = 1000
    static let byteaArray: UInt32 = 1001
    static let int2Array: UInt32 = 1005
    static let int4Array: UInt32 = 1007
    static let int8Array: UInt32 = 1016
    static let float4Array: UInt32 = 1021
    static let float8Array: UInt32 = 1022
    static let timestamptz: UInt32 = 1184
    static let timestamptzArray: UInt32 = 1185
    static let interval: UInt32 = 1186
    static let intervalArray: UInt32 = 1187
    static let uuid: UInt32 = 2950
    static let uuidArray: UInt32 = 2951
    static let jsonb: UInt32 = 3802
    static let jsonbArray: UInt32 = 3807
}

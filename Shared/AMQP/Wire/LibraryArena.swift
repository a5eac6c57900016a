import CRabbitMQ

/// Memory for what one call of the encoder is given, taken from the library's own allocator and recycled after it.
final class LibraryArena {
    private var pool = amqp_pool_t()

    init() {
        init_amqp_pool(&pool, 4096)
    }

    deinit {
        empty_amqp_pool(&pool)
    }

    func recycle() {
        recycle_amqp_pool(&pool)
    }

    /// `nil` when memory is short.
    func bytes(_ text: String) -> amqp_bytes_t? {
        var text = text
        return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ array: [UInt8]) -> amqp_bytes_t? {
        array.withUnsafeBytes { copy($0) }
    }

    private func copy(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t? {
        guard let base = source.baseAddress, source.count > 0 else { return amqp_bytes_t(len: 0, bytes: nil) }
        guard let target = amqp_pool_alloc(&pool, source.count) else { return nil }
        target.copyMemory(from: base, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: target)
    }

    func table(_ table: [String: AMQPValue]) -> amqp_table_t? {
        guard !table.isEmpty else { return amqp_table_t(num_entries: 0, entries: nil) }
        guard
            let entries = allocate(amqp_table_entry_t.self, count: table.count)
        else { return nil }
        // Sorted, so that equal tables have equal bytes.
        for (index, entry) in table.sorted(by: { $0.key < $1.key }).enumerated() {
            guard let key = bytes(entry.key), let value = value(entry.value) else { return nil }
            entries[index] = amqp_table_entry_t(key: key, value: value)
        }
        return amqp_table_t(num_entries: Int32(table.count), entries: entries)
    }

    private func value(_ value: AMQPValue) -> amqp_field_value_t? {
        var field = amqp_field_value_t()
        func set(_ kind: Unicode.Scalar) { field.kind = UInt8(ascii: kind) }
        switch value {
        case .null: set("V")
        case .bool(let flag):
            set("t")
            field.value.boolean = flag ? 1 : 0
        case .int(let number):
            set("l")
            field.value.i64 = number
        case .double(let number):
            set("d")
            field.value.f64 = number
        case .decimal(let scale, let unscaled):
            set("D")
            field.value.decimal = amqp_decimal_t(decimals: scale, value: unscaled)
        case .timestamp(let seconds):
            set("T")
            field.value.u64 = seconds
        case .string(let text):
            set("S")
            guard let copied = bytes(text) else { return nil }
            field.value.bytes = copied
        case .bytes(let raw):
            set("x")
            guard let copied = bytes(raw) else { return nil }
            field.value.bytes = copied
        case .table(let inner):
            set("F")
            guard let copied = table(inner) else { return nil }
            field.value.table = copied
        case .array(let values):
            set("A")
            guard let copied = array(values) else { return nil }
            field.value.array = copied
        }
        return field
    }

    private func array(_ values: [AMQPValue]) -> amqp_array_t? {
        guard !values.isEmpty else { return amqp_array_t(num_entries: 0, entries: nil) }
        guard let entries = allocate(amqp_field_value_t.self, count: values.count) else { return nil }
        for (index, element) in values.enumerated() {
            guard let field = value(element) else { return nil }
            entries[index] = field
        }
        return amqp_array_t(num_entries: Int32(values.count), entries: entries)
    }

    private func allocate<T>(_: T.Type, count: Int) -> UnsafeMutablePointer<T>? {
        amqp_pool_alloc(&pool, MemoryLayout<T>.stride * count)?.bindMemory(to: T.self, capacity: count)
    }
}

/// Reads the directories of a TIFF block, in which EXIF keeps its facts. Offsets are checked against the block, loops
/// can't arise (directories are read once, by those who ask), and counts are bounded.
struct TIFFReader {
    struct Entry {
        var type: Int
        var count: Int
        /// Where the value is in the block.
        var position: Int
    }

    private let reader: ByteReader<ArraySlice<UInt8>>
    private let isBigEndian: Bool
    let firstDirectory: Int

    init?(_ block: ArraySlice<UInt8>) {
        self.reader = ByteReader(block)
        switch reader.ascii(0, 2) {
        case "MM": isBigEndian = true
        case "II": isBigEndian = false
        default: return nil
        }
        guard reader.number(2, 2, bigEndian: isBigEndian) == 42,
            let first = reader.number(4, 4, bigEndian: isBigEndian)
        else { return nil }
        self.firstDirectory = first
    }

    func directory(at position: Int) -> [Int: Entry] {
        guard let count = number(position, 2), count <= 512 else { return [:] }
        var entries: [Int: Entry] = [:]
        for index in 0..<count {
            let start = position + 2 + index * 12
            guard let tag = number(start, 2), let type = number(start + 2, 2), let values = number(start + 4, 4),
                values <= 4_096, let size = Self.sizes[type]
            else { continue }
            let position: Int
            if size * values <= 4 {
                position = start + 8
            } else {
                guard let offset = number(start + 8, 4), offset + size * values <= reader.count else { continue }
                position = offset
            }
            entries[tag] = Entry(type: type, count: values, position: position)
        }
        return entries
    }

    func integer(_ entry: Entry) -> Int? {
        guard entry.count >= 1 else { return nil }
        return switch entry.type {
        case 1: number(entry.position, 1)
        case 3: number(entry.position, 2)
        case 4: number(entry.position, 4)
        default: nil
        }
    }

    /// ASCII up to the first zero byte.
    func text(_ entry: Entry) -> String? {
        guard entry.type == 2, entry.count <= 64 else { return nil }
        let text = reader.ascii(entry.position, entry.count)?.prefix { $0 != "\0" }
        return text.map(String.init)
    }

    func rationals(_ entry: Entry) -> [Double]? {
        guard entry.type == 5, entry.count <= 8 else { return nil }
        var values: [Double] = []
        for index in 0..<entry.count {
            guard let above = number(entry.position + index * 8, 4),
                let below = number(entry.position + index * 8 + 4, 4),
                below > 0
            else { return nil }
            values.append(Double(above) / Double(below))
        }
        return values
    }

    private func number(_ position: Int, _ length: Int) -> Int? {
        reader.number(position, length, bigEndian: isBigEndian)
    }

    /// Bytes a value, by type.
    private static let sizes = [1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8]
}

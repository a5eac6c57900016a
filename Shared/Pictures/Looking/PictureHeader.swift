/// What a picture's first bytes declare: read by content, never by name, and before anybody decodes it. A reader of
/// bytes and nothing else: whatever it is fed, it answers or says no.
public struct PictureHeader: Sendable, Hashable {
    public enum Format: String, Sendable, CaseIterable {
        case jpeg = "image/jpeg"
        case png = "image/png"
        case webp = "image/webp"
        case heic = "image/heic"
    }

    public var format: Format
    /// Pixels as declared, before any turning.
    public var width: Int
    public var height: Int

    public var pixels: Int { width.multipliedReportingOverflow(by: height).partialValue }

    public enum Failure: Error, Hashable {
        /// No format that we take.
        case notAPicture
        /// Begins like one and ends too early or contradicts itself.
        case broken
    }

    /// - Parameter bytes: the whole file.
    public init(_ bytes: some RandomAccessCollection<UInt8>) throws(Failure) {
        let reader = ByteReader(bytes)
        if reader.starts(with: [0xFF, 0xD8, 0xFF]) {
            (width, height) = try Self.jpeg(reader)
            format = .jpeg
        } else if reader.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            (width, height) = try Self.png(reader)
            format = .png
        } else if reader.starts(with: Array("RIFF".utf8)), reader.ascii(8, 4) == "WEBP" {
            (width, height) = try Self.webp(reader)
            format = .webp
        } else if reader.ascii(4, 4) == "ftyp", let brand = reader.ascii(8, 4), Self.heicBrands.contains(brand) {
            (width, height) = try Self.heic(reader)
            format = .heic
        } else {
            throw .notAPicture
        }
        guard width > 0, height > 0 else { throw .broken }
    }

    // MARK: - JPEG

    private static func jpeg(_ reader: ByteReader<some RandomAccessCollection<UInt8>>) throws(Failure) -> (Int, Int) {
        var position = 2
        while let marker = reader.jpegMarker(after: &position) {
            switch marker {
            // Start of frame, all kinds but DHT (C4), JPG (C8) and DAC (CC).
            case 0xC0...0xC3, 0xC5...0xC7, 0xC9...0xCB, 0xCD...0xCF:
                guard let height = reader.big16(position + 3), let width = reader.big16(position + 5) else {
                    throw .broken
                }
                guard reader.endsWithJPEGEnd() else { throw .broken }
                return (width, height)
            case 0xD9, 0xDA: throw .broken
            default:
                guard let length = reader.big16(position), length >= 2 else { throw .broken }
                position += length
            }
        }
        throw .broken
    }

    // MARK: - PNG

    private static func png(_ reader: ByteReader<some RandomAccessCollection<UInt8>>) throws(Failure) -> (Int, Int) {
        guard reader.big32(8) == 13, reader.ascii(12, 4) == "IHDR", let width = reader.big32(16),
            let height = reader.big32(20), width <= 0x7FFF_FFFF, height <= 0x7FFF_FFFF
        else { throw .broken }
        // A cut-off file lacks its last chunk.
        var position = 8
        while let length = reader.big32(position), let type = reader.ascii(position + 4, 4) {
            guard length <= 0x7FFF_FFFF, position + 12 + length <= reader.count else { throw .broken }
            if type == "IEND" { return (width, height) }
            position += 12 + length
        }
        throw .broken
    }

    // MARK: - WebP

    private static func webp(_ reader: ByteReader<some RandomAccessCollection<UInt8>>) throws(Failure) -> (Int, Int) {
        guard let size = reader.little32(4), size + 8 <= reader.count else { throw .broken }
        switch reader.ascii(12, 4) {
        case "VP8 ":
            guard reader.byte(23) == 0x9D, reader.byte(24) == 0x01, reader.byte(25) == 0x2A,
                let width = reader.little16(26), let height = reader.little16(28)
            else { throw .broken }
            return (width & 0x3FFF, height & 0x3FFF)
        case "VP8L":
            guard reader.byte(20) == 0x2F, let bits = reader.little32(21) else { throw .broken }
            return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case "VP8X":
            guard let width = reader.little24(24), let height = reader.little24(27) else { throw .broken }
            return (width + 1, height + 1)
        default:
            throw .broken
        }
    }

    // MARK: - HEIC

    private static let heicBrands: Set<String> = ["heic", "heix", "heim", "heis", "mif1", "msf1", "hevc"]

    /// The largest `ispe` box in `meta`: with tiles, that of the whole picture.
    private static func heic(_ reader: ByteReader<some RandomAccessCollection<UInt8>>) throws(Failure) -> (Int, Int) {
        guard let meta = reader.box("meta", in: 0..<reader.count) else { throw .broken }
        // `meta` is a full box: four bytes of version and flags before its children.
        guard meta.count > 4, let properties = reader.box("iprp", in: (meta.lowerBound + 4)..<meta.upperBound),
            let container = reader.box("ipco", in: properties)
        else { throw .broken }
        var best: (width: Int, height: Int)?
        for extent in reader.boxes("ispe", in: container) {
            guard let width = reader.big32(extent.lowerBound + 4), let height = reader.big32(extent.lowerBound + 8)
            else { throw .broken }
            guard width <= 1 << 20, height <= 1 << 20 else { return (width, height) }
            if width * height > (best.map { $0.width * $0.height } ?? 0) { best = (width, height) }
        }
        guard let best else { throw .broken }
        return best
    }
}

public import Model

/// What a camera wrote into a photo: when, where, and which way up. Read once, before everything of the kind is stripped
/// from what we keep. Every field is what the camera claims.
public struct CameraFacts: Sendable, Hashable {
    public var takenAt: Timestamp?
    public var place: Coordinate?
    /// 1 … 8, as EXIF numbers them; 1 is upright.
    public var orientation: Int?

    public init(takenAt: Timestamp? = nil, place: Coordinate? = nil, orientation: Int? = nil) {
        self.takenAt = takenAt
        self.place = place
        self.orientation = orientation
    }

    /// Finds the EXIF block in a photo and reads it; empty if there is none or it is nonsense.
    /// - Parameter zoneMinutes: minutes east of UTC that camera clocks without a zone are taken to show.
    public init(of bytes: [UInt8], format: PictureHeader.Format, zoneMinutes: Int) {
        self.init()
        guard let block = Self.exifBlock(of: bytes, format: format) else { return }
        self.init(tiff: bytes[block], zoneMinutes: zoneMinutes)
    }

    /// - Parameter tiff: the block after "Exif\0\0".
    init(tiff: ArraySlice<UInt8>, zoneMinutes: Int) {
        self.init()
        guard let tiff = TIFFReader(tiff) else { return }
        let main = tiff.directory(at: tiff.firstDirectory)
        orientation = main[0x0112].flatMap { tiff.integer($0) }.flatMap { (1...8).contains($0) ? $0 : nil }
        if let pointer = main[0x8769].flatMap({ tiff.integer($0) }) {
            let exif = tiff.directory(at: pointer)
            let text =
                (exif[0x9003] ?? exif[0x9004]).flatMap { tiff.text($0) } ?? main[0x0132].flatMap { tiff.text($0) }
            let offset = (exif[0x9011] ?? exif[0x9010]).flatMap { tiff.text($0) }
            takenAt = text.flatMap { Self.time($0, offset: offset, zoneMinutes: zoneMinutes) }
        }
        if let pointer = main[0x8825].flatMap({ tiff.integer($0) }) {
            place = Self.place(tiff, tiff.directory(at: pointer))
        }
    }

    // MARK: - Where the block is

    private static func exifBlock(of bytes: [UInt8], format: PictureHeader.Format) -> Range<Int>? {
        let reader = ByteReader(bytes)
        switch format {
        case .jpeg:
            var position = 2
            while let marker = reader.jpegMarker(after: &position), marker != 0xDA, marker != 0xD9,
                let length = reader.big16(position), length >= 2, position + length <= bytes.count
            {
                if marker == 0xE1, length > 8, reader.ascii(position + 2, 6) == "Exif\0\0" {
                    return (position + 8)..<(position + length)
                }
                position += length
            }
        case .png:
            var position = 8
            while let length = reader.big32(position), let type = reader.ascii(position + 4, 4),
                position + 12 + length <= bytes.count
            {
                if type == "eXIf" { return (position + 8)..<(position + 8 + length) }
                position += 12 + length
            }
        case .webp:
            var position = 12
            while let type = reader.ascii(position, 4), let length = reader.little32(position + 4),
                position + 8 + length <= bytes.count
            {
                if type == "EXIF" {
                    let start = position + 8
                    let skip = reader.ascii(start, 6) == "Exif\0\0" ? 6 : 0
                    return (start + min(skip, length))..<(start + length)
                }
                position += 8 + length + length % 2
            }
        case .heic:
            // The item is found by its marks: following `iloc` would be a hundred lines for one picture format.
            let mark = Array("Exif\0\0".utf8)
            let last = bytes.count - mark.count - 8
            guard last > 0 else { return nil }
            for position in 0..<last
            where bytes[position] == 0x45 && bytes[position..<(position + 6)].elementsEqual(mark) {
                let start = position + 6
                let order = reader.ascii(start, 2)
                if order == "II" || order == "MM" { return start..<min(bytes.count, start + 65_536) }
            }
        }
        return nil
    }

    // MARK: - What it says

    /// `2026:07:01 16:30:05` with an offset such as `+08:00`.
    private static func time(_ text: String, offset: String?, zoneMinutes: Int) -> Timestamp? {
        let fields = text.split(whereSeparator: { $0 == ":" || $0 == " " })
        guard fields.count == 6, text.count == 19 else { return nil }
        let iso = "\(fields[0])-\(fields[1])-\(fields[2])T\(fields[3]):\(fields[4]):\(fields[5])"
        if let offset, offset.count == 6, let time = Timestamp(iso + offset) { return time }
        return Timestamp(iso + "Z").map { $0 - .seconds(zoneMinutes * 60) }
    }

    private static func place(_ tiff: TIFFReader, _ gps: [Int: TIFFReader.Entry]) -> Coordinate? {
        func degrees(_ value: Int, _ reference: Int, negative: String) -> Double? {
            guard let parts = gps[value].flatMap({ tiff.rationals($0) }), parts.count >= 3 else { return nil }
            let magnitude = parts[0] + parts[1] / 60 + parts[2] / 3600
            let side = gps[reference].flatMap { tiff.text($0) }
            return side == negative ? -magnitude : magnitude
        }
        guard let lat = degrees(2, 1, negative: "S"), let lon = degrees(4, 3, negative: "W") else { return nil }
        let place = Coordinate(lon: lon, lat: lat)
        // 0, 0 is what cameras write when they don't know.
        return place.isOnEarth && (lon, lat) != (0, 0) ? place : nil
    }
}

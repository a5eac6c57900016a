/// Pictures by hand, just enough of each for its header to be read.
public enum HandmadePicture {
    public static func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    public static func big32(_ value: Int) -> [UInt8] { big16(value >> 16) + big16(value & 0xFFFF) }
    public static func little32(_ value: Int) -> [UInt8] { big32(value).reversed() }

    public static func jpeg(width: Int, height: Int, segments: [UInt8] = []) -> [UInt8] {
        let frame = [0x08] + big16(height) + big16(width) + [3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]
        return [0xFF, 0xD8] + segments + [0xFF, 0xC2] + big16(frame.count + 2) + frame + [0xFF, 0xDA, 0, 2, 0xFF, 0xD9]
    }

    public static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        big32(data.count) + Array(type.utf8) + data + [0, 0, 0, 0]
    }

    public static func png(width: Int, height: Int, chunks: [UInt8] = []) -> [UInt8] {
        [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
            + chunk("IHDR", big32(width) + big32(height) + [8, 2, 0, 0, 0]) + chunks + chunk("IEND", [])
    }

    public static func webp(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array("WEBP".utf8) + Array(type.utf8) + little32(data.count) + data
        return Array("RIFF".utf8) + little32(body.count) + body
    }

    public static func box(_ type: String, _ data: [UInt8]) -> [UInt8] {
        big32(data.count + 8) + Array(type.utf8) + data
    }

    public static func heic(width: Int, height: Int) -> [UInt8] {
        let thumbnail = box("ispe", [0, 0, 0, 0] + big32(320) + big32(240))
        let whole = box("ispe", [0, 0, 0, 0] + big32(width) + big32(height))
        let meta = [0, 0, 0, 0] + box("hdlr", [1, 2, 3]) + box("iprp", box("ipco", thumbnail + whole))
        return box("ftyp", Array("heic".utf8) + [0, 0, 0, 0]) + box("meta", meta)
    }

    /// An EXIF block: orientation 6, 2026-07-01 16:30:05 (+08:00 if asked), 22°32'30"N 114°3'36"E.
    public static func exif(offset: Bool) -> [UInt8] {
        func entry(_ tag: Int, _ type: Int, _ count: Int, _ value: [UInt8]) -> [UInt8] {
            big16(tag) + big16(type) + big32(count) + value + [UInt8](repeating: 0, count: 4 - value.count)
        }
        // Header 0…7, main directory 8…49, EXIF directory 50…79, GPS directory 80…133, then the values.
        let values = 134
        let time = Array("2026:07:01 16:30:05\0".utf8)
        let zone = Array("+08:00\0\0".utf8)
        let lat = big32(22) + big32(1) + big32(32) + big32(1) + big32(3_000) + big32(100)
        let lon = big32(114) + big32(1) + big32(3) + big32(1) + big32(36) + big32(1)
        let timeAt = values
        let zoneAt = timeAt + time.count
        let latAt = zoneAt + zone.count
        let lonAt = latAt + lat.count
        var block = Array("MM".utf8) + big16(42) + big32(8)
        block +=
            big16(3) + entry(0x0112, 3, 1, big16(6)) + entry(0x8769, 4, 1, big32(50)) + entry(0x8825, 4, 1, big32(80))
        block += big32(0)
        block += big16(2) + entry(0x9003, 2, 20, big32(timeAt))
        block += offset ? entry(0x9011, 2, 7, big32(zoneAt)) : entry(0x9999, 3, 1, big16(0))
        block += big32(0)
        block += big16(4) + entry(1, 2, 2, Array("N\0".utf8)) + entry(2, 5, 3, big32(latAt))
        block += entry(3, 2, 2, Array("E\0".utf8)) + entry(4, 5, 3, big32(lonAt)) + big32(0)
        return block + time + zone + lat + lon
    }

    public static func jpegSegment(_ exif: [UInt8]) -> [UInt8] {
        let data = Array("Exif\0\0".utf8) + exif
        return [0xFF, 0xE1] + big16(data.count + 2) + data
    }
}

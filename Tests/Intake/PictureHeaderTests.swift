import Model
import Testing

@testable import IntakeService

/// Pictures by hand, just enough of each for its header to be read.
enum HandmadePicture {
    static func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    static func big32(_ value: Int) -> [UInt8] { big16(value >> 16) + big16(value & 0xFFFF) }
    static func little32(_ value: Int) -> [UInt8] { big32(value).reversed() }

    static func jpeg(width: Int, height: Int, segments: [UInt8] = []) -> [UInt8] {
        let frame = [0x08] + big16(height) + big16(width) + [3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]
        return [0xFF, 0xD8] + segments + [0xFF, 0xC2] + big16(frame.count + 2) + frame + [0xFF, 0xDA, 0, 2, 0xFF, 0xD9]
    }

    static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        big32(data.count) + Array(type.utf8) + data + [0, 0, 0, 0]
    }

    static func png(width: Int, height: Int, chunks: [UInt8] = []) -> [UInt8] {
        [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
            + chunk("IHDR", big32(width) + big32(height) + [8, 2, 0, 0, 0]) + chunks + chunk("IEND", [])
    }

    static func webp(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array("WEBP".utf8) + Array(type.utf8) + little32(data.count) + data
        return Array("RIFF".utf8) + little32(body.count) + body
    }

    static func box(_ type: String, _ data: [UInt8]) -> [UInt8] { big32(data.count + 8) + Array(type.utf8) + data }

    static func heic(width: Int, height: Int) -> [UInt8] {
        let thumbnail = box("ispe", [0, 0, 0, 0] + big32(320) + big32(240))
        let whole = box("ispe", [0, 0, 0, 0] + big32(width) + big32(height))
        let meta = [0, 0, 0, 0] + box("hdlr", [1, 2, 3]) + box("iprp", box("ipco", thumbnail + whole))
        return box("ftyp", Array("heic".utf8) + [0, 0, 0, 0]) + box("meta", meta)
    }

    /// An EXIF block: orientation 6, 2026-07-01 16:30:05 (+08:00 if asked), 22°32'30"N 114°3'36"E.
    static func exif(offset: Bool) -> [UInt8] {
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

    static func jpegSegment(_ exif: [UInt8]) -> [UInt8] {
        let data = Array("Exif\0\0".utf8) + exif
        return [0xFF, 0xE1] + big16(data.count + 2) + data
    }
}

@Suite("What a picture's first bytes declare")
struct PictureHeaderTests {
    @Test("format and size by content")
    func formats() throws {
        typealias Make = HandmadePicture
        let pictures: [(PictureHeader.Format, [UInt8])] = [
            (.jpeg, Make.jpeg(width: 640, height: 480)), (.png, Make.png(width: 640, height: 480)),
            (.webp, Make.webp("VP8 ", [0, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0xE0, 0x01])),
            (.webp, Make.webp("VP8L", [0x2F] + Make.little32((639) | (479 << 14)))),
            (.webp, Make.webp("VP8X", [0, 0, 0, 0, 0x7F, 0x02, 0, 0xDF, 0x01, 0])),
            (.heic, Make.heic(width: 640, height: 480)),
        ]
        for (format, bytes) in pictures {
            let header = try PictureHeader(bytes)
            #expect(header.format == format)
            #expect(header.width == 640 && header.height == 480)
        }
    }

    @Test(
        "a program named .jpg, texts, and near misses are no pictures",
        arguments: [
            Array("MZ\u{90}\0\u{3}".utf8), Array("<svg xmlns='http://www.w3.org/2000/svg'/>".utf8),
            Array("%PDF-1.7".utf8),
            Array("GIF89a".utf8), [], [0xFF], [0xFF, 0xD8], Array("RIFF\0\0\0\0WAVE".utf8),
            Array("\0\0\0\u{18}ftypisom".utf8),
        ])
    func notPictures(bytes: [UInt8]) {
        #expect(throws: PictureHeader.Failure.notAPicture) { try PictureHeader(bytes) }
    }

    @Test("an enormous picture in few bytes declares itself")
    func enormous() throws {
        let header = try PictureHeader(HandmadePicture.png(width: 30_000, height: 30_000))
        #expect(header.pixels == 900_000_000 && header.pixels > KeepPhoto.pixelLimit)
    }

    @Test("cut off anywhere it is broken or none, and nothing traps")
    func truncated() {
        let pictures = [
            HandmadePicture.jpeg(
                width: 64, height: 48, segments: HandmadePicture.jpegSegment(HandmadePicture.exif(offset: true))),
            HandmadePicture.png(width: 64, height: 48), HandmadePicture.heic(width: 64, height: 48),
            HandmadePicture.webp("VP8X", [0, 0, 0, 0, 0x7F, 0x02, 0, 0xDF, 0x01, 0]),
        ]
        for picture in pictures {
            for length in 0..<picture.count {
                #expect(throws: PictureHeader.Failure.self) { try PictureHeader(picture[..<length]) }
            }
        }
    }

    @Test("any bytes behind a right beginning get an answer", arguments: [1 as UInt64, 2, 3, 4])
    func noise(seed: UInt64) {
        var state = seed
        func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        let pictures = [
            HandmadePicture.jpeg(
                width: 64, height: 48, segments: HandmadePicture.jpegSegment(HandmadePicture.exif(offset: false))),
            HandmadePicture.png(width: 64, height: 48), HandmadePicture.heic(width: 64, height: 48),
        ]
        for _ in 0..<3_000 {
            var bytes = pictures[Int(next()) % pictures.count]
            for _ in 0..<(1 + Int(next()) % 6) { bytes[Int(next()) % bytes.count] = next() }
            if let header = try? PictureHeader(bytes) {
                _ = CameraFacts(of: bytes, format: header.format, zoneMinutes: 480)
            }
        }
    }
}

@Suite("What a camera wrote into a photo")
struct CameraFactsTests {
    @Test("time, place and orientation, from each format")
    func facts() throws {
        let exif = HandmadePicture.exif(offset: true)
        let jpeg = HandmadePicture.jpeg(width: 8, height: 8, segments: HandmadePicture.jpegSegment(exif))
        let png = HandmadePicture.png(width: 8, height: 8, chunks: HandmadePicture.chunk("eXIf", exif))
        let heic =
            HandmadePicture.heic(width: 8, height: 8) + HandmadePicture.box("mdat", Array("Exif\0\0".utf8) + exif)
        for (bytes, format) in [(jpeg, PictureHeader.Format.jpeg), (png, .png), (heic, .heic)] {
            let facts = CameraFacts(of: bytes, format: format, zoneMinutes: 0)
            #expect(facts.orientation == 6)
            #expect(facts.takenAt?.description == "2026-07-01T08:30:05.000000Z")
            let place = try #require(facts.place)
            #expect(abs(place.lat - 22.541666) < 0.0001 && abs(place.lon - 114.06) < 0.0001)
        }
    }

    @Test("a clock without a zone is taken to show the city's time")
    func zone() {
        let exif = HandmadePicture.exif(offset: false)
        let facts = CameraFacts(
            of: HandmadePicture.jpeg(width: 8, height: 8, segments: HandmadePicture.jpegSegment(exif)), format: .jpeg,
            zoneMinutes: 480)
        #expect(facts.takenAt?.description == "2026-07-01T08:30:05.000000Z")
    }

    @Test("a photo without a block has none")
    func nothing() {
        #expect(
            CameraFacts(of: HandmadePicture.jpeg(width: 8, height: 8), format: .jpeg, zoneMinutes: 0) == CameraFacts())
    }
}

import HandmadePictures
import Model
import Testing

@testable import Pictures

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
        #expect(header.pixels == 900_000_000 && header.pixels > PictureTaker.pixelLimit)
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

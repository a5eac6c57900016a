import HTTPTypes
public import ServiceKit

/// What can be wrong with a photo; each names its field.
public enum PhotoProblem {
    static let noRoom = Problem(
        HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage"), code: "storage_full",
        "No room for photos at the moment.", zh: "照片存储空间不足，请稍后再试。")

    static func notAPicture(_ field: String) -> Problem {
        Problem(
            .unsupportedMediaType, code: "not_a_picture", "A photo is wanted: JPEG, PNG, WebP or HEIC, by its content.",
            zh: "应为照片：JPEG、PNG、WebP 或 HEIC（以内容为准）。",
            fields: [
                FieldError(
                    field, code: "not_a_picture", "The content is no picture that is accepted.", zh: "内容不是可接受的图片。",
                    allowed: PictureHeader.Format.allCases.map(\.rawValue))
            ])
    }

    static func broken(_ field: String) -> Problem {
        .invalid(
            field, code: "broken_picture", "The picture is damaged or not complete.", zh: "图片已损坏或不完整。")
    }

    static func tooManyPixels(_ field: String) -> Problem {
        .invalid(
            field, code: "too_many_pixels",
            "A photo may have at most \(PictureTaker.pixelLimit / 1_000_000) million pixels.",
            zh: "照片最多 \(PictureTaker.pixelLimit / 10_000) 万像素。")
    }

    public static func tooLarge(_ field: String) -> Problem {
        let megabytes = UploadFile.limit / 1_048_576
        return Problem(
            .contentTooLarge, code: "too_large", "A photo may have at most \(megabytes) MiB.",
            zh: "单张照片最多 \(megabytes) MiB。",
            fields: [FieldError(field, code: "too_large", "The photo is too large.", zh: "照片过大。")])
    }

    /// - Parameter limit: photos that one thing may have.
    public static func tooMany(_ field: String, limit: Int) -> Problem {
        .invalid(
            field, code: "too_many_photos", "At most \(limit) photos are kept of one thing.", zh: "同一事项最多 \(limit) 张照片。"
        )
    }
}

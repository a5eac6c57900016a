public import Model

/// Which property of a source's features holds what. Cities name their columns differently; a profile is data, given
/// with the import and stored with its run.
public struct ImportProfile: Codable, Sendable, Hashable {
    /// Names the source; facilities are found again by (source, kind, id).
    public var source: String
    public var kind: FacilityKind
    public var system: PipeSystem?
    /// The property that identifies a feature within the source.
    public var id: String
    public var diameterMillimetres: String?
    public var lengthMetres: String?
    public var upNode: String?
    public var downNode: String?
    public var upInvertMetres: String?
    public var downInvertMetres: String?
    public var material: String?

    /// Whether a source may be called that; the facilities' table holds to it as well.
    public static func isSource(_ name: String) -> Bool { (1...64).contains(name.unicodeScalars.count) }

    public init(
        source: String, kind: FacilityKind, system: PipeSystem? = nil, id: String, diameterMillimetres: String? = nil,
        lengthMetres: String? = nil, upNode: String? = nil, downNode: String? = nil, upInvertMetres: String? = nil,
        downInvertMetres: String? = nil, material: String? = nil
    ) {
        self.source = source
        self.kind = kind
        self.system = system
        self.id = id
        self.diameterMillimetres = diameterMillimetres
        self.lengthMetres = lengthMetres
        self.upNode = upNode
        self.downNode = downNode
        self.upInvertMetres = upInvertMetres
        self.downInvertMetres = downInvertMetres
        self.material = material
    }
}

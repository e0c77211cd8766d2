package scim

// membersAttribute is the name of the attribute that is kept as rows.
const membersAttribute = "members"

// groupType is the Group resource (RFC 7643 §4.2 and §8.7.1). displayName is
// required and unique: identity providers find a group by it.
var groupType = resourceType{
	name: "Group", endpoint: "/Groups", about: "A set of people.",
	schemas: []schema{
		{id: groupURN, name: "Group", about: "Group", attributes: []attribute{
			{
				name: "displayName", kind: stringType, required: true, uniqueness: "server",
				about: "The name of the group, unique in the tenant without regard to case.",
			},
			{name: membersAttribute, kind: complexType, multi: true, about: "Who is in the group. Members are users: groups inside groups are not supported.", sub: []attribute{
				{name: "value", kind: stringType, caseExact: true, mutability: "immutable", about: "The id of the user."},
				{name: "$ref", kind: referenceType, caseExact: true, mutability: "immutable", refers: []string{"User"}, about: "The location of the user."},
				{name: "type", kind: stringType, mutability: "immutable", canonical: []string{"User"}, about: "What the member is."},
				{name: "display", kind: stringType, ignored: true},
			}},
		}},
	},
}

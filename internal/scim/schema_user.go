package scim

// URNs of the schemas and messages that are spoken here.
const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

	configURN       = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	resourceTypeURN = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	schemaURN       = "urn:ietf:params:scim:schemas:core:2.0:Schema"

	groupURN = "urn:ietf:params:scim:schemas:core:2.0:Group"

	listURN         = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	searchURN       = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	bulkRequestURN  = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkResponseURN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	patchURN        = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	errorURN        = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// commonAttributes are those of every resource (RFC 7643 §3.1). They are in no
// published schema.
var commonAttributes = []attribute{
	{name: "id", kind: stringType, caseExact: true, mutability: "readOnly", returned: "always", uniqueness: "server"},
	{name: "schemas", kind: referenceType, multi: true, caseExact: true, mutability: "readOnly", returned: "always"},
	{name: "externalId", kind: stringType, caseExact: true},
	{name: "meta", kind: complexType, mutability: "readOnly", sub: []attribute{
		{name: "resourceType", kind: stringType, caseExact: true, mutability: "readOnly"},
		{name: "created", kind: dateTimeType, mutability: "readOnly"},
		{name: "lastModified", kind: dateTimeType, mutability: "readOnly"},
		{name: "location", kind: referenceType, caseExact: true, mutability: "readOnly"},
		{name: "version", kind: stringType, caseExact: true, mutability: "readOnly"},
	}},
}

// userType is the User resource with its enterprise extension (RFC 7643 §4.1
// and §4.3; the attributes' characteristics are those of §8.7.1).
var userType = resourceType{
	name: "User", endpoint: "/Users", about: "A person who may be given access.",
	schemas: []schema{
		{id: userURN, name: "User", about: "User account", attributes: []attribute{
			{
				name: "userName", kind: stringType, required: true, uniqueness: "server",
				about: "The name that identifies the user, unique in the tenant without regard to case.",
			},
			{name: "name", kind: complexType, about: "The components of the user's name.", sub: []attribute{
				{name: "formatted", kind: stringType, about: "The full name, formatted for display."},
				{name: "familyName", kind: stringType, about: "The family name, or last name."},
				{name: "givenName", kind: stringType, about: "The given name, or first name."},
				{name: "middleName", kind: stringType, about: "The middle names."},
				{name: "honorificPrefix", kind: stringType, about: "The title before the name, for example \"Ms.\"."},
				{name: "honorificSuffix", kind: stringType, about: "The suffix after the name, for example \"III\"."},
			}},
			{name: "displayName", kind: stringType, about: "The name of the user, suitable for display."},
			{name: "nickName", kind: stringType, about: "The casual way to address the user."},
			{name: "profileUrl", kind: referenceType, refers: []string{"external"}, about: "The location of the user's online profile."},
			{name: "title", kind: stringType, about: "The user's title, for example \"Vice President\"."},
			{name: "userType", kind: stringType, about: "The relation between the organisation and the user, for example \"Employee\"."},
			{name: "preferredLanguage", kind: stringType, about: "The user's preferred languages, as in the Accept-Language header."},
			{name: "locale", kind: stringType, about: "The user's locale, for example \"en-US\"."},
			{name: "timezone", kind: stringType, about: "The user's time zone in IANA form, for example \"Europe/Berlin\"."},
			{name: "active", kind: booleanType, about: "Whether the user may use the service. False ends every token, session and stream of the user."},
			{name: "password", kind: stringType, mutability: "writeOnly", returned: "never", ignored: true},
			plural("emails", "The e-mail addresses of the user.", stringType, "work", "home", "other"),
			plural("phoneNumbers", "The phone numbers of the user.", stringType, "work", "home", "mobile", "fax", "pager", "other"),
			plural("ims", "The instant-messaging addresses of the user.", stringType, "aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"),
			plural("photos", "The locations of pictures of the user.", referenceType, "photo", "thumbnail"),
			{name: "addresses", kind: complexType, multi: true, about: "The postal addresses of the user.", sub: []attribute{
				{name: "formatted", kind: stringType, about: "The full address, formatted for display."},
				{name: "streetAddress", kind: stringType, about: "The street address."},
				{name: "locality", kind: stringType, about: "The city or locality."},
				{name: "region", kind: stringType, about: "The state or region."},
				{name: "postalCode", kind: stringType, about: "The postal code."},
				{name: "country", kind: stringType, about: "The country."},
				{name: "type", kind: stringType, about: "What the address is for.", canonical: []string{"work", "home", "other"}},
				{name: "primary", kind: booleanType, about: "Whether this is the preferred address."},
			}},
			{name: "groups", kind: complexType, multi: true, mutability: "readOnly", about: "The groups that the user is in; they are changed by changing the groups.", sub: []attribute{
				{name: "value", kind: stringType, caseExact: true, mutability: "readOnly", about: "The id of the group."},
				{name: "$ref", kind: referenceType, caseExact: true, mutability: "readOnly", refers: []string{"Group"}, about: "The location of the group."},
				{name: "display", kind: stringType, mutability: "readOnly", about: "The displayName of the group."},
				{name: "type", kind: stringType, mutability: "readOnly", canonical: []string{"direct"}, about: "How the user is in the group."},
			}},
			plural("entitlements", "The entitlements of the user.", stringType),
			plural("roles", "The roles of the user, as the client sends them.", stringType),
			plural("x509Certificates", "The certificates of the user.", binaryType),
		}},
		{id: enterpriseURN, name: "EnterpriseUser", about: "Enterprise User", attributes: []attribute{
			{name: "employeeNumber", kind: stringType, about: "The identifier that the organisation gave to the user."},
			{name: "costCenter", kind: stringType, about: "The name of a cost center."},
			{name: "organization", kind: stringType, about: "The name of an organisation."},
			{name: "division", kind: stringType, about: "The name of a division."},
			{name: "department", kind: stringType, about: "The name of a department."},
			{name: "manager", kind: complexType, about: "The user's manager.", sub: []attribute{
				{name: "value", kind: stringType, about: "The id of the manager's resource, as the client sends it."},
				{name: "$ref", kind: referenceType, refers: []string{"User"}, about: "The location of the manager's resource."},
				{name: "displayName", kind: stringType, mutability: "readOnly", about: "The manager's display name."},
			}},
		}},
	},
}

// plural is a multi-valued attribute with the sub-attributes of RFC 7643 §2.4.
func plural(name, about string, value dataType, types ...string) attribute {
	v := attribute{name: "value", kind: value, about: "The value."}
	switch value {
	case referenceType:
		v.refers, v.caseExact = []string{"external"}, true
	case binaryType:
		v.caseExact = true
	default:
	}
	return attribute{name: name, kind: complexType, multi: true, about: about, sub: []attribute{
		v,
		{name: "display", kind: stringType, about: "A name of the value, for display."},
		{name: "type", kind: stringType, canonical: types, about: "What the value is for."},
		{name: "primary", kind: booleanType, about: "Whether this is the preferred value; true for one at the most."},
	}}
}

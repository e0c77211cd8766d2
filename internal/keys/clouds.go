package keys

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"cloud.google.com/go/kms/apiv1"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/googleapis/gax-go/v2/apierror"
	"gocloud.dev/secrets/awskms"
	"gocloud.dev/secrets/azurekeyvault"
	"gocloud.dev/secrets/gcpkms"
	"google.golang.org/api/option"
)

// What to do when a key service answers and does not do what it should.
const (
	doAllow  = "see that the credentials of this process are good, and allow to encrypt and decrypt with this key"
	doFind   = "see that the key is there, enabled, and in the region that is asked"
	doRepair = "it is of another key, or was changed in the database"
)

// openAWS opens a key of AWS KMS. Region and credentials are those of the usual
// variables, files and roles of AWS.
func openAWS(ctx context.Context, s *service, u *url.URL, o Options) error {
	var with []func(*config.LoadOptions) error
	if region := u.Query().Get("region"); region != "" {
		with = append(with, config.WithRegion(region))
	}
	if o.Transport != nil {
		with = append(with, config.WithHTTPClient(&http.Client{Transport: o.Transport}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, with...)
	if err != nil {
		return err
	}
	if cfg.Region == "" {
		return errors.New("no region: set AWS_REGION, or ?region=")
	}
	client, err := awskms.Dial(cfg)
	if err != nil {
		return err
	}
	s.keeper, s.problem = awskms.OpenKeeper(client, nameOf(u), nil), awsProblem
	return nil
}

// awsProblem reads the error types of KMS's Encrypt and Decrypt.
func awsProblem(err error) (Problem, string) {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return 0, ""
	}
	switch e.ErrorCode() {
	case "InvalidCiphertextException", "IncorrectKeyException":
		return Wrong, doRepair
	case "NotFoundException", "DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException":
		return Missing, doFind
	case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
		"IncompleteSignature", "InvalidClientTokenId", "MissingAuthenticationToken", "InvalidGrantTokenException", "NotAuthorized":
		return Denied, doAllow
	}
	return 0, ""
}

// openGCP opens a key of Google Cloud KMS over REST, which goes through the proxies
// of the environment as every other request does. Credentials are the application's
// default ones; endpoint names a private endpoint.
func openGCP(ctx context.Context, s *service, u *url.URL, _ Options) error {
	var with []option.ClientOption
	if endpoint := u.Query().Get("endpoint"); endpoint != "" {
		with = append(with, option.WithEndpoint(endpoint))
	}
	// The client outlives the call that makes it.
	client, err := kms.NewKeyManagementRESTClient(context.WithoutCancel(ctx), with...)
	if err != nil {
		return err
	}
	s.keeper, s.problem = gcpkms.OpenKeeper(client, nameOf(u), nil), statusProblem
	return nil
}

// openAzure opens a version of a key of Azure Key Vault. Credentials are those of the
// usual variables of Azure, a managed identity or a workload's.
func openAzure(_ context.Context, s *service, u *url.URL, o Options) error {
	var client policy.ClientOptions
	if o.Transport != nil {
		client.Transport = &http.Client{Transport: o.Transport}
	}
	with := azurekeyvault.KeeperOptions{}
	if algorithm := u.Query().Get("algorithm"); algorithm != "" {
		with.Algorithm = azkeys.EncryptionAlgorithm(algorithm)
	}
	made := func(vault string) (*azkeys.Client, error) {
		who, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: client})
		if err != nil {
			return nil, err
		}
		return azkeys.NewClient(vault, who, &azkeys.ClientOptions{ClientOptions: client})
	}
	keeper, err := azurekeyvault.OpenKeeper(made, "https://"+nameOf(u), &with)
	if err != nil {
		return err
	}
	s.keeper, s.problem = keeper, statusProblem
	return nil
}

// statusProblem reads the HTTP status of what Google and Azure answer.
func statusProblem(err error) (Problem, string) {
	status := 0
	var google *apierror.APIError
	var azure *azcore.ResponseError
	var signIn *azidentity.AuthenticationFailedError
	switch {
	case errors.As(err, &google):
		status = google.HTTPCode()
	case errors.As(err, &azure):
		status = azure.StatusCode
	case errors.As(err, &signIn) && signIn.RawResponse != nil:
		status = http.StatusForbidden
	}
	switch status {
	case http.StatusBadRequest:
		return Wrong, doRepair
	case http.StatusUnauthorized, http.StatusForbidden:
		return Denied, doAllow
	case http.StatusNotFound, http.StatusConflict:
		return Missing, doFind
	}
	return 0, ""
}

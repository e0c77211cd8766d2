package keys

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"cloud.google.com/go/kms/apiv1"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/googleapis/gax-go/v2/apierror"
	"gocloud.dev/secrets/awskms"
	"gocloud.dev/secrets/azurekeyvault"
	"gocloud.dev/secrets/gcpkms"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"
)

// What to do when a key service answers and does not do what it should.
const (
	doAllow  = "see that the credentials of this process are good, and allow to encrypt and decrypt with this key"
	doFind   = "see that the key is there, enabled, and in the region that is asked"
	doRepair = "it is of another key, or was changed in the database"
	doWait   = "its quota is too low for it; Tenure goes on by itself"
)

// openAWS opens a key of AWS KMS. Region and credentials are those of the usual
// variables, files and roles of AWS.
func openAWS(ctx context.Context, s *service, u *url.URL, o Options) error {
	with := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} })}
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
	s.about.Algorithm = "SYMMETRIC_DEFAULT, AES-256-GCM"
	if !strings.HasPrefix(nameOf(u), "arn:") { // which says its region
		s.by("region", cfg.Region)
	}
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
	case "ThrottlingException", "Throttling", "LimitExceededException", "RequestLimitExceeded", "TooManyRequestsException":
		return Busy, doWait
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
func openGCP(ctx context.Context, s *service, u *url.URL, o Options) error {
	ctx = context.WithoutCancel(ctx) // the client outlives the call that makes it
	var with []option.ClientOption
	if o.Transport != nil {
		ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: o.Transport})
		found, err := google.FindDefaultCredentials(ctx, kms.DefaultAuthScopes()...)
		if err != nil {
			return err
		}
		with = append(with, option.WithHTTPClient(oauth2.NewClient(ctx, found.TokenSource)))
	}
	if endpoint := u.Query().Get("endpoint"); endpoint != "" {
		with = append(with, option.WithEndpoint(endpoint))
	}
	client, err := kms.NewKeyManagementRESTClient(ctx, with...)
	if err != nil {
		return err
	}
	client.CallOptions.Encrypt, client.CallOptions.Decrypt = nil, nil // no tries of its own
	s.keeper, s.problem = gcpkms.OpenKeeper(client, nameOf(u), nil), statusProblem
	s.about.Algorithm = "GOOGLE_SYMMETRIC_ENCRYPTION, AES-256-GCM"
	return nil
}

// openAzure opens a version of a key of Azure Key Vault. Credentials are those of the
// usual variables of Azure, a managed identity or a workload's.
func openAzure(_ context.Context, s *service, u *url.URL, o Options) error {
	client := policy.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}
	if o.Transport != nil {
		client.Transport = &http.Client{Transport: o.Transport}
	}
	algorithm := cmp.Or(u.Query().Get("algorithm"), string(azkeys.EncryptionAlgorithmRSAOAEP256))
	with := azurekeyvault.KeeperOptions{Algorithm: azkeys.EncryptionAlgorithm(algorithm)}
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
	s.keeper, s.problem, s.about.Algorithm = keeper, statusProblem, algorithm
	s.by("algorithm", algorithm)
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
	case http.StatusTooManyRequests:
		return Busy, doWait
	}
	return 0, ""
}

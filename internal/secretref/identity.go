package secretref

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/tenure-gateway/tenure"
)

// once makes something when it is first needed, and again as long as that fails.
func once[T any](load func(context.Context) (T, error)) func(context.Context) (T, error) {
	var made atomic.Pointer[T]
	var f flight[T]
	return func(ctx context.Context) (T, error) {
		if one := made.Load(); one != nil {
			return *one, nil
		}
		return f.do(ctx, time.Now, func(ctx context.Context) (T, error) {
			one, err := load(ctx)
			if err == nil {
				made.Store(&one)
			}
			return one, err
		})
	}
}

// AWSCredentials are those that AWS's own tools would use: environment, files, web
// identity, the machine's role.
func AWSCredentials(region string) func(context.Context) (aws.Credentials, error) {
	load := once(func(ctx context.Context) (aws.Config, error) {
		return config.LoadDefaultConfig(ctx, config.WithRegion(region))
	})
	return func(ctx context.Context) (aws.Credentials, error) {
		c, err := load(ctx)
		if err != nil {
			return aws.Credentials{}, err
		}
		return c.Credentials.Retrieve(ctx)
	}
}

// GoogleToken is that of Google's application default credentials.
func GoogleToken() func(context.Context) (tenure.Secret, error) {
	load := once(func(ctx context.Context) (oauth2.TokenSource, error) {
		// What is found renews itself for as long as the process lives, and is asked
		// without a context: the client has the bound.
		ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Timeout: fetchLimit})
		c, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/cloud-platform")
		if err != nil {
			return nil, err
		}
		return c.TokenSource, nil
	})
	var f flight[*oauth2.Token]
	return func(ctx context.Context) (tenure.Secret, error) {
		source, err := load(ctx)
		if err != nil {
			return tenure.Secret{}, err
		}
		t, err := f.do(ctx, time.Now, func(context.Context) (*oauth2.Token, error) { return source.Token() })
		if err != nil {
			return tenure.Secret{}, err
		}
		return tenure.NewSecret(t.AccessToken), nil
	}
}

// AzureToken is that of Azure's default credential: environment, workload identity,
// managed identity.
func AzureToken() func(context.Context) (tenure.Secret, error) {
	return azureTokenOf(once(func(context.Context) (azcore.TokenCredential, error) {
		return azidentity.NewDefaultAzureCredential(nil)
	}))
}

func azureTokenOf(load func(context.Context) (azcore.TokenCredential, error)) func(context.Context) (tenure.Secret, error) {
	return func(ctx context.Context) (tenure.Secret, error) {
		credential, err := load(ctx)
		if err != nil {
			return tenure.Secret{}, err
		}
		t, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
		if err != nil {
			return tenure.Secret{}, err
		}
		return tenure.NewSecret(t.Token), nil
	}
}

package keys_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

// awsEnv is the environment of who may use the double of KMS.
func awsEnv(t *testing.T, d *keystest.KMS) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": keystest.AWSKeyID, "AWS_SECRET_ACCESS_KEY": keystest.AWSSecret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "",
		"AWS_DEFAULT_REGION": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
		"AWS_ENDPOINT_URL": d.URL,
	} {
		t.Setenv(name, value)
	}
}

// A key of AWS KMS wraps and unwraps, by its ARN and by its alias, over requests whose
// signature is computed a second time; and each error says what it means.
func TestAWS(t *testing.T) {
	d := keystest.NewKMS(t)
	awsEnv(t, d)
	alias := "awskms://" + keystest.KMSAlias
	kek := open(t, alias+"?region="+keystest.AWSRegion, keys.Options{Timeout: time.Second})
	wrapped, by := wrap(t, kek, dek)
	if by != alias+"?region="+keystest.AWSRegion || kek.About().ID != by {
		t.Errorf("by %s of %s", by, kek.About().ID)
	}
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error(err)
	}
	t.Setenv("AWS_REGION", keystest.AWSRegion)
	arn := open(t, "awskms:///"+keystest.KMSKey, keys.Options{})
	if err := opens(t, arn, wrapped, dek); err != nil {
		t.Error(err)
	}
	says(t, opens(t, kek, []byte("no ciphertext"), dek), keys.Wrong, alias, "was changed in the database")
	for kind, problem := range map[string]keys.Problem{
		"AccessDeniedException": keys.Denied, "ExpiredTokenException": keys.Denied, "UnrecognizedClientException": keys.Denied,
		"NotFoundException": keys.Missing, "DisabledException": keys.Missing, "KMSInvalidStateException": keys.Missing,
		"IncorrectKeyException": keys.Wrong, "KMSInternalException": keys.Away, "ThrottlingException": keys.Busy,
	} {
		d.Fail(kind)
		says(t, opens(t, kek, wrapped, dek), problem, alias)
	}
	d.Fail("")
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error("well again:", err)
	}
	_, _, err := open(t, "awskms://alias/other", keys.Options{}).Wrap(t.Context(), dek, nil)
	says(t, err, keys.Missing, "awskms://alias/other", "in the region that is asked")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	says(t, opens(t, open(t, alias, keys.Options{}), wrapped, dek), keys.Denied, "credentials")
	d.Close()
	from := time.Now()
	says(t, opens(t, kek, wrapped, dek), keys.Away, alias, "that it runs")
	if took := time.Since(from); took > 9*time.Second {
		t.Errorf("it waited for %v", took)
	}
}

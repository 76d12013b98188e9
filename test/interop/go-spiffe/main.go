// A workload that has its identity through go-spiffe, the SPIFFE project's own library, and says in
// lines of JSON what it got:
//
//	x509      each X.509-SVID that comes on the stream
//	bundles   the trust domains that come with it, and how many roots each has
//	jwt       a JWT-SVID for the audience "pay", and who it is for by the library's own check
//	validated what the server says of that token
//	refused   what the server says of that token for another audience
//	peer      who answered over mTLS (with -dial) or called (with -listen)
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func say(kind string, value any) {
	line, err := json.Marshal(map[string]any{kind: value})
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	say("x509", map[string]string{
		"id":     svid.ID.String(),
		"serial": svid.Certificates[0].SerialNumber.Text(16),
	})
	roots := map[string]int{}
	for _, bundle := range update.Bundles.Bundles() {
		roots[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
	}
	say("bundles", roots)
}

func (watcher) OnX509ContextWatchError(err error) { fmt.Fprintln(os.Stderr, "watch:", err) }

func main() {
	dial := flag.String("dial", "", "URL to call over mTLS")
	peer := flag.String("peer", "", "SPIFFE ID that the called one must have")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client, err := workloadapi.New(ctx)
	check(err)
	defer client.Close()
	go client.WatchX509Context(ctx, watcher{})

	jwt, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "pay", ExtraAudiences: []string{"ship"}})
	check(err)
	source, err := workloadapi.NewJWTSource(ctx, workloadapi.WithClient(client))
	check(err)
	parsed, err := jwtsvid.ParseAndValidate(jwt.Marshal(), source, []string{"pay"})
	check(err)
	say("jwt", map[string]any{"id": parsed.ID.String(), "audiences": parsed.Audience})
	validated, err := client.ValidateJWTSVID(ctx, jwt.Marshal(), "ship")
	check(err)
	say("validated", validated.ID.String())
	_, err = client.ValidateJWTSVID(ctx, jwt.Marshal(), "other")
	say("refused", fmt.Sprint(err))

	if *dial != "" {
		x509, err := workloadapi.NewX509Source(ctx, workloadapi.WithClient(client))
		check(err)
		id, err := spiffeid.FromString(*peer)
		check(err)
		config := tlsconfig.MTLSClientConfig(x509, x509, tlsconfig.AuthorizeID(id))
		// As a sidecar of the mesh asks, so that one that takes plaintext too knows what is meant.
		config.NextProtos = []string{"istio-http/1.1", "istio", "http/1.1"}
		transport := &http.Transport{TLSClientConfig: config}
		answer, err := (&http.Client{Transport: transport}).Get(*dial)
		check(err)
		body, err := io.ReadAll(answer.Body)
		check(err)
		say("peer", map[string]any{"status": answer.StatusCode, "body": string(body)})
	}
	// Until whoever started it has seen enough.
	_, _ = io.ReadAll(os.Stdin)
}

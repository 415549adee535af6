// KEDA's own client of external scalers, as a command: calls one method and prints each answer, or
// the error, as a line of JSON.
//
//	keda-client [FLAG...] ADDRESS METHOD REQUEST
//
// Streams are printed until they end or -for is over.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

var (
	ca       = flag.String("ca", "", "PEM of who vouches for the server; without it there is no TLS")
	cert     = flag.String("cert", "", "PEM of the client's certificate")
	key      = flag.String("key", "", "PEM of its private key")
	lasting  = flag.Duration("for", 5*time.Second, "time for the call")
	absurdly = errors.New("no such method")
)

func main() {
	flag.Parse()
	if flag.NArg() != 3 {
		fmt.Fprintln(os.Stderr, "usage: keda-client [FLAG...] ADDRESS METHOD REQUEST")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), flag.Arg(1), []byte(flag.Arg(2))); err != nil {
		told := status.Convert(err)
		line, _ := json.Marshal(map[string]string{"code": told.Code().String(), "message": told.Message()})
		fmt.Printf("{\"error\":%s}\n", line)
	}
}

func run(address, method string, request []byte) error {
	secure, err := transport()
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(secure))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := externalscaler.NewExternalScalerClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), *lasting)
	defer cancel()

	if method == "GetMetrics" {
		asked := &externalscaler.GetMetricsRequest{}
		if err := protojson.Unmarshal(request, asked); err != nil {
			return err
		}
		return told(client.GetMetrics(ctx, asked))
	}
	object := &externalscaler.ScaledObjectRef{}
	if err := protojson.Unmarshal(request, object); err != nil {
		return err
	}
	switch method {
	case "IsActive":
		return told(client.IsActive(ctx, object))
	case "GetMetricSpec":
		return told(client.GetMetricSpec(ctx, object))
	case "StreamIsActive":
		stream, err := client.StreamIsActive(ctx, object)
		return each(stream, err)
	case "StreamMetricSpec":
		stream, err := client.StreamMetricSpec(ctx, object)
		return each(stream, err)
	}
	return absurdly
}

func transport() (credentials.TransportCredentials, error) {
	if *ca == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

// told prints an answer, with the fields that are zero.
func told(answer proto.Message, err error) error {
	if err != nil {
		return err
	}
	text, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(answer)
	if err != nil {
		return err
	}
	fmt.Printf("{\"answer\":%s}\n", text)
	return nil
}

func each[T any, M interface {
	*T
	proto.Message
}](stream grpc.ServerStreamingClient[T], err error) error {
	for err == nil {
		var next *T
		if next, err = stream.Recv(); err == nil {
			err = told(M(next), nil)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

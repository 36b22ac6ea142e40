package plugin_test

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func insecureOption() grpc.DialOption {
	return grpc.WithTransportCredentials(insecure.NewCredentials())
}

import { callbackify } from 'node:util';
import { type sendUnaryData, type ServerUnaryCall, status } from '@grpc/grpc-js';

/** A gRPC method of one question and one answer; what it throws is told with its message. */
export function unary<Request, Response>(
  answer: (request: Request) => Response | Promise<Response>,
): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
  const answerBack = callbackify(async (request: Request) => answer(request));
  return ({ request }, callback) =>
    answerBack(request, (error, response) => {
      if (error === null) callback(null, response);
      else callback({ code: status.UNKNOWN, details: error.message });
    });
}

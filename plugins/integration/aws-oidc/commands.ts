import { command, defineCommands, group } from "../../../core/plugin/commands.js";

export default defineCommands({
  mezctl: [
    group({
      name: "integrations",
      summary: "AWS by OpenID Connect",
      commands: [
        group({
          name: "configure",
          summary: "Have a cloud trust this cluster",
          commands: [
            command({
              name: "aws-oidc",
              summary: "Let programs trade their JWT-SVID for credentials of an AWS role",
              description:
                "Prints the commands of the aws CLI and the trust policy of the role, to apply by hand. With --aws-profile or " +
                "--aws-region, makes provider and role in AWS, or brings them up to date, with your own AWS credentials.",
              examples: [
                'mezctl integrations configure aws-oidc --account=123456789012 --spiffe-id="spiffe://prod.example.com/*" --role-name=MeziteWorkloadRole',
                'mezctl integrations configure aws-oidc --aws-profile=mezite-prod --aws-region=us-east-1 --account=123456789012 --spiffe-id="spiffe://prod.example.com/*" --role-name=MeziteWorkloadRole',
              ],
              flags: {
                account: { type: "string", required: true, env: false, valueName: "id", description: "AWS account, 12 digits" },
                spiffeId: {
                  type: "string",
                  required: true,
                  env: false,
                  valueName: "id",
                  description: "Programs that may take the role; * stands for any characters",
                },
                roleName: {
                  type: "string",
                  required: true,
                  env: false,
                  valueName: "name",
                  description: "IAM role that is made for them",
                },
                awsProfile: {
                  type: "string",
                  env: false,
                  valueName: "profile",
                  description: "Do it, with the credentials of this profile",
                },
                awsRegion: {
                  type: "string",
                  env: false,
                  valueName: "region",
                  description: "Do it, with the endpoint of IAM for this region",
                },
              },
              async run(context, input) {
                const { configureAwsOidc } = await import("./configure-command.js");
                await configureAwsOidc(context, input);
              },
            }),
          ],
        }),
      ],
    }),
  ],
});

// pm2 start contrib/pm2/ecosystem.config.js
//
// AGENTCOM_AGENT_ID and AGENTCOM_TOKEN_FILE come from the environment of `pm2 start`.
module.exports = {
  apps: [
    {
      name: "agentcom-sidecar",
      script: "agentcom-sidecar",
      interpreter: "none",
      args: "--config sidecar.toml",
      // 75 means "restart me" and is restarted like any end but these: 0, it was drained;
      // 64, its configuration is wrong.
      autorestart: true,
      stop_exit_codes: [0, 64],
      restart_delay: 2000,
      exp_backoff_restart_delay: 0,
      min_uptime: 5000,
      // A drain takes 37 s at most.
      kill_timeout: 45000,
      // The sidecar's jobs are processes of their own and end with their guards.
      treekill: false,
    },
  ],
};
